"""Manifests: a bundle's folder is read, whatever its `manifest.json` says."""

import hashlib
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from service.bundle import Bundle
from service.errors import BundleRefused
from service.sessions.reading import ragged_contexts
from service.tasks.decoding import DecodingOptions
from tests.fakes.toy_bundles import write_toy_classifier, write_toy_translator
from tests.fuzz.features import READINGS
from tests.fuzz.folders import new_folder, put
from tests.fuzz.target import Target, json_words


@cache
def folder() -> Path:
    """A bundle with a file of every kind, in a repository of which it may take graphs."""
    repository = new_folder()
    write_toy_translator(repository, "lender")
    place = write_toy_classifier(repository, "toy-intents")
    for name in ("encode.onnx", "step.onnx", "predict.onnx"):
        put(place / name, b"computed by hand")
    put(place / "features.json", READINGS)
    return place


def read(data: bytes) -> None:
    put(folder() / "manifest.json", data)
    bundle = Bundle.read(folder())
    manifest = bundle.manifest
    assert manifest.model_validate_json(manifest.model_dump_json()) == manifest
    options = DecodingOptions.of(manifest)
    assert 1 <= options.max_length <= manifest.limits.max_output_tokens
    for name, graph in manifest.graphs.items():
        ragged_contexts(graph)
        assert hashlib.sha256(bundle.read_graph(name)).hexdigest() == bundle.graph_hash(name)
    if manifest.tokenizer:
        assert bundle.vocabulary_size
    if manifest.features:
        assert bundle.features.dim


def seeds() -> Iterator[bytes]:
    files = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder().iterdir()}
    files.pop("manifest.json")
    scratch = new_folder()
    for number, made in enumerate(
        (
            write_toy_translator(scratch, "a"),
            write_toy_translator(scratch, "b", streams=False),
            write_toy_classifier(scratch, "c"),
        )
    ):
        tree = json.loads((made / "manifest.json").read_text())
        yield json.dumps(tree | {"files": files}).encode()
        if not number:
            for graph in tree["graphs"].values():
                sha256 = hashlib.sha256(b"computed by hand").hexdigest()
                graph["taken_from"] = {"model": "lender", "version": "1", "sha256": sha256}
            yield json.dumps(tree | {"files": files}).encode()
    tree |= {"task": "predict", "features": "features.json", "labels": None, "tokenizer": None}
    graph = tree["graphs"].pop("classify") | {"file": "predict.onnx"}
    features = {"name": "features", "tensor": "x", "dtype": "float32", "axes": ["batch", "time", 2]}
    graph["inputs"] = [features | {"role": "input"}, *graph["inputs"][1:]]
    yield json.dumps(tree | {"graphs": {"predict": graph}, "files": files}).encode()


TARGET = Target(
    "manifests",
    read,
    seeds,
    refusals=(BundleRefused,),
    max_bytes=8192,
    words=json_words(
        "graphs", "inputs", "outputs", "axes", "role", "taken_from", "files", "limits", "format"
    ),
)
