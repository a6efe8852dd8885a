"""Bundles made to do harm are refused one by one; the others serve."""

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from service.bundle import Bundle
from service.config import EngineSettings, SchedulerSettings
from service.engine.onnx import OnnxEngine
from service.errors import BundleRefused
from service.metrics import Metrics
from service.registry import Registry, Served
from service.scheduler import Scheduler
from tests.fakes.toy_bundles import write_toy_classifier
from tests.fakes.toy_translator import ToyEngine


def of_toys(bundle: Bundle) -> Served:
    engine = ToyEngine(bundle.manifest)
    return Served(bundle, engine, Scheduler(engine, SchedulerSettings(), Metrics(), bundle.manifest.name))


def of_onnx(bundle: Bundle) -> Served:
    """The good one's graph is no real one; of all others ONNX Runtime is asked."""
    if bundle.manifest.name != "good":
        OnnxEngine(bundle, EngineSettings())
    return of_toys(bundle)


def put(folder: Path, name: str, data: bytes) -> None:
    """Put a file into a bundle, as somebody would who may write there: its hash fits."""
    (folder / name).write_bytes(data)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"][name] = hashlib.sha256(data).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest))


def refusal(repository: Path, make: Callable[[Bundle], Served] = of_toys) -> str:
    """Why the bad one is not served, beside a good one that is."""
    write_toy_classifier(repository, "good")
    registry = Registry(make)
    registry.load_all(repository)
    try:
        assert [one.manifest.name for one in registry.all()] == ["good"]
        [reason] = registry.refused.values()
        return reason
    finally:
        registry.close()


def too_much_memory() -> bytes:
    """Folded while it is loaded: 2⁵⁰ numbers."""
    shape = helper.make_tensor("s", TensorProto.INT64, [1], [2**50])
    nodes = [helper.make_node("ConstantOfShape", ["s"], ["y"])]
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    return bytes(helper.make_model(helper.make_graph(nodes, "g", [], [output], [shape])).SerializeToString())


def unknown_operation() -> bytes:
    node = helper.make_node("Run", ["x"], ["y"], domain="com.attacker", command="rm -rf /")
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])
    return bytes(helper.make_model(helper.make_graph([node], "g", [value], [output])).SerializeToString())


def elsewhere() -> bytes:
    tensor = TensorProto(name="w", dims=[1], data_type=TensorProto.FLOAT, data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="/etc/passwd")
    graph = helper.make_graph([], "g", [], [], initializer=[tensor])
    return bytes(onnx.helper.make_model(graph).SerializeToString())


GRAPHS: dict[str, Callable[[], bytes]] = {
    "nothing": lambda: b"",
    "noise": lambda: os.urandom(4096),
    "text": lambda: b"<html>",
    "groups without end": lambda: b"\x3b" * 100_000,
    "cut off": lambda: unknown_operation()[:-7],
    "an operation of its own": unknown_operation,
    "too much memory": too_much_memory,
    "data elsewhere": elsewhere,
}


@pytest.mark.parametrize("graph", GRAPHS)
def test_a_hostile_graph_is_refused_and_the_others_serve(tmp_path: Path, graph: str) -> None:
    put(write_toy_classifier(tmp_path, "bad"), "classify.onnx", GRAPHS[graph]())
    assert "classify.onnx" in refusal(tmp_path, of_onnx)


TOKENIZERS: dict[str, bytes] = {
    "nothing": b"",
    "noise": bytes(range(256)) * 16,
    "nested without end": b"[" * 1_000_000,
    "nested objects": b'{"a":' * 200_000,
    "another kind": b'{"version": "1.0", "model": {"type": "Attack"}}',
    "no vocabulary": b'{"version": "1.0", "model": {"type": "BPE", "vocab": {}, "merges": []}}',
    "not UTF-8": b"\xff\xfe{}",
    "a kind that is no word": b'{"kind": {"kind": "characters"}}',
    "a panic of the library": b'{"model": {"vocab": {"a": 4, "b": 5}, "merges": [["a", "b"]]}}',
}


@pytest.mark.parametrize("tokenizer", TOKENIZERS)
def test_a_hostile_tokenizer_is_refused_and_the_others_serve(tmp_path: Path, tokenizer: str) -> None:
    put(write_toy_classifier(tmp_path, "bad"), "tokenizer.json", TOKENIZERS[tokenizer])
    assert "tokenizer.json" in refusal(tmp_path)


def test_a_file_larger_than_it_may_be_is_not_read(tmp_path: Path) -> None:
    folder = write_toy_classifier(tmp_path, "bad")
    with (folder / "tokenizer.json").open("r+b") as file:
        file.truncate(10 * 1024**3)  # of holes: it takes no room on the disk
    assert "larger than" in refusal(tmp_path)


@pytest.mark.parametrize("manifest", [b"[" * 500_000, b"{" * 500_000, b" " * 2 * 1024 * 1024, b"\0", b"7"])
def test_a_hostile_manifest_is_refused_and_the_others_serve(tmp_path: Path, manifest: bytes) -> None:
    (write_toy_classifier(tmp_path, "bad") / "manifest.json").write_bytes(manifest)
    assert "manifest.json" in refusal(tmp_path)


@pytest.mark.parametrize("name", ["classify.onnx", "tokenizer.json", "manifest.json", "labels.txt"])
def test_a_file_that_is_a_link_is_refused(tmp_path: Path, name: str) -> None:
    """Also one to a file that is just as it should be."""
    file = write_toy_classifier(tmp_path / "models", "bad") / name
    file.rename(tmp_path / "outside")
    file.symlink_to(tmp_path / "outside")
    assert "is a link" in refusal(tmp_path / "models")


def test_a_bundle_that_leads_elsewhere_is_refused(tmp_path: Path) -> None:
    outside = write_toy_classifier(tmp_path / "outside", "bad")
    for link, target in (("bad", outside.parent), ("bad2/1", outside)):
        repository = tmp_path / link[:4].strip("/") / "models"
        (repository / link).parent.mkdir(parents=True)
        (repository / link).symlink_to(target)
        assert "leads out of the repository" in refusal(repository)


def test_versions_that_are_links_within_the_repository_are_served(tmp_path: Path) -> None:
    folder = write_toy_classifier(tmp_path / ".data", "linked")
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "1").symlink_to(folder)
    registry = Registry(of_toys)
    registry.load_all(tmp_path)
    assert [one.manifest.name for one in registry.all()] == ["linked"]
    registry.close()


def test_one_that_comes_later_is_refused_alike(tmp_path: Path) -> None:
    write_toy_classifier(tmp_path / "models", "good")
    registry = Registry(of_toys)
    registry.load_all(tmp_path / "models")
    outside = write_toy_classifier(tmp_path / "outside", "bad")
    (tmp_path / "models" / "bad").symlink_to(outside.parent)
    with pytest.raises(BundleRefused, match="leads out"):
        registry.load(tmp_path / "models", "bad")
    registry.close()
