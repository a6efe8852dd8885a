"""Bundles on disk for engines that are computed by hand: the manifest and tokenizer are real, the graphs empty files.

The tokenizer knows whole words: uno … diez are 4 … 13, one … ten are 14 … 23, everything else is <unk>, 3.
"""

import hashlib
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer as Pipeline
from tokenizers import normalizers
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Metaspace

from service.bundle.manifest import Generation, GraphSpec, Limits, Manifest, TensorSpec
from service.bundle.subwords import Subwords
from service.bundle.tokenizer import SPECIALS, Tokenizer

SPANISH = ["uno", "dos", "tres", "cuatro", "cinco", "seis", "siete", "ocho", "nueve", "diez"]
ENGLISH = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
LABELS = ("ask", "play", "stop")
VOCABULARY_SIZE = len(SPECIALS) + len(SPANISH) + len(ENGLISH)


def toy_tokenizer() -> Tokenizer:
    words = [*SPECIALS, *(f"▁{word}" for word in SPANISH + ENGLISH)]
    pipeline = Pipeline(WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    pipeline.normalizer = normalizers.Sequence([normalizers.Strip()])
    pipeline.pre_tokenizer = Metaspace(replacement="▁", prepend_scheme="always")
    return Subwords(pipeline)


def write_toy_translator(
    models: Path, name: str = "toy-es-en", *, streams: bool = True, **parts: Any
) -> Path:
    manifest = {
        "task": "translate",
        "source_language": "es",
        "target_language": "en",
        "graphs": {"encode": _encode(streams), "step": _step(has_attention=streams)},
        "generation": Generation(max_length=32, length_penalty=1.0),
        "limits": Limits(max_input_tokens=20, max_output_tokens=40),
    }
    return _write(models, name, streams, manifest | parts)


def write_toy_classifier(
    models: Path, name: str = "toy-intents", *, streams: bool = True, **parts: Any
) -> Path:
    log_probs = _tensor("log_probs", "float32", ("batch", len(LABELS)), "output")
    total = _tensor("total", "int64", ("batch", 1), "state")
    graph = GraphSpec(
        file="classify.onnx",
        inputs=(*_tokens(), *([total] if streams else [])),
        outputs=(log_probs, total)[: 1 + streams],
    )
    manifest = {
        "task": "classify",
        "source_language": "es",
        "graphs": {"classify": graph},
        "labels": "labels.txt",
        "limits": Limits(max_input_tokens=1000),
    }
    return _write(models, name, streams, manifest | parts)


def _write(models: Path, name: str, streams: bool, parts: dict[str, Any]) -> Path:
    version: str = parts.pop("version", "1")
    folder = models / name / version
    folder.mkdir(parents=True)
    texts = {graph.file: "computed by hand" for graph in parts["graphs"].values()}
    texts |= {"tokenizer.json": toy_tokenizer().to_json()}
    texts |= {"labels.txt": "\n".join(LABELS) + "\n"} if parts.get("labels") else {}
    for file, text in texts.items():
        (folder / file).write_text(text, encoding="utf-8")
    hashes = {file: hashlib.sha256((folder / file).read_bytes()).hexdigest() for file in texts}
    why = "" if streams else "its encoder reads both ways"
    manifest = Manifest(
        name=name, version=version, streams=streams, why_not_streaming=why, files=hashes, **parts
    )
    (folder / "manifest.json").write_text(manifest.model_dump_json(), encoding="utf-8")
    return folder


def _encode(streams: bool) -> GraphSpec:
    states = (_tensor("num_read", "int64", ("batch", 1), "state"),) if streams else ()
    memory = _tensor("memory", "int64", ("batch", "time"), "context")
    position = _tensor("position", "int64", ("batch", 1), "state")
    return GraphSpec(file="encode.onnx", inputs=(*_tokens(), *states), outputs=(memory, *states, position))


def _step(*, has_attention: bool) -> GraphSpec:
    attention = _tensor("attention", "float32", ("batch", "source"), "output")
    position = _tensor("position", "int64", ("batch", 1), "state")
    return GraphSpec(
        file="step.onnx",
        inputs=(
            _tensor("token", "int64", ("batch",), "input"),
            _tensor("source_lengths", "int64", ("batch",), "lengths", of="source"),
            _tensor("k", "int64", (), "size", of="k"),
            _tensor("memory", "int64", ("batch", "source"), "context"),
            position,
        ),
        outputs=(
            _tensor("top_tokens", "int64", ("batch", "k"), "output"),
            _tensor("top_log_probs", "float32", ("batch", "k"), "output"),
            *([attention] if has_attention else []),
            position,
        ),
    )


def _tokens() -> tuple[TensorSpec, TensorSpec]:
    lengths = _tensor("lengths", "int64", ("batch",), "lengths", of="time")
    return _tensor("tokens", "int64", ("batch", "time"), "input"), lengths


def _tensor(
    name: str, dtype: Any, axes: tuple[str | int, ...], role: Any, of: str | None = None
) -> TensorSpec:
    return TensorSpec(name=name, tensor=name, dtype=dtype, axes=axes, role=role, of=of)
