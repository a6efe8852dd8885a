"""Weights that graphs share are written once, and nothing else changes."""

import hashlib
import json
from pathlib import Path

import numpy as np
import onnx
import pytest

from service.bundle import Bundle
from service.bundle.weights import WEIGHTS
from service.config import EngineSettings
from service.engine.blank import blank_step
from service.engine.onnx import GraphPool, OnnxEngine
from service.errors import BundleRefused
from service.step import Array, Arrays, Step
from tests.bundles import write_classifier, write_language_model
from training.export import sharing
from training.export.check import ExportRefused
from training.export.sharing import shared_files

SETTINGS = EngineSettings(threads=1)


@pytest.fixture
def text(tmp_path: Path) -> Path:
    return write_language_model(tmp_path, encoder={"hidden": 48})


def unshared(folder: Path) -> Path:
    """The bundle as it was before weights could be shared: format 3, each graph a file."""
    bundle = Bundle.read(folder)
    graphs = {spec.file: bundle.read_graph(name) for name, spec in bundle.manifest.graphs.items()}
    (folder / WEIGHTS).unlink()
    for file, data in graphs.items():
        (folder / file).write_bytes(data)
    manifest = json.loads((folder / "manifest.json").read_text())
    del manifest["files"][WEIGHTS]
    manifest["files"] |= {file: hashlib.sha256(data).hexdigest() for file, data in graphs.items()}
    (folder / "manifest.json").write_text(json.dumps(manifest | {"format": 3}))
    return folder


def refused(folder: Path) -> str:
    with pytest.raises(BundleRefused) as error:
        OnnxEngine(Bundle.read(folder), SETTINGS)
    return str(error.value)


def resealed(folder: Path, file: str, data: bytes) -> Path:
    """The bundle with another file under a manifest that knows it."""
    (folder / file).write_bytes(data)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"][file] = hashlib.sha256(data).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def test_a_language_model_holds_its_weights_once(text: Path, tmp_path: Path) -> None:
    shared = Bundle.read(text)
    whole = sum(len(shared.read_graph(name)) for name in shared.manifest.graphs)
    files = [text / spec.file for spec in shared.manifest.graphs.values()]
    assert WEIGHTS in shared.manifest.files
    assert sum(file.stat().st_size for file in (*files, text / WEIGHTS)) < 0.7 * whole


def test_graphs_are_the_same_bytes_as_unshared_and_so_one_session_serves_both(text: Path) -> None:
    shared = Bundle.read(text)
    pool = GraphPool(SETTINGS)
    engine = OnnxEngine(shared, SETTINGS, pool)
    hashes = {name: shared.graph_hash(name) for name in shared.manifest.graphs}
    plain = Bundle.read(unshared(text))
    assert {name: plain.manifest.files[spec.file] for name, spec in plain.manifest.graphs.items()} == hashes
    other = OnnxEngine(plain, SETTINGS, pool)
    assert len(pool) == len(hashes)
    assert engine.manifest.num_parameters == other.manifest.num_parameters


def test_outputs_are_the_same_bits(text: Path) -> None:
    shared = answers(text)
    plain = answers(unshared(text))
    assert len(shared) > 6
    assert {name: array.tobytes() for name, array in shared.items()} == {
        name: array.tobytes() for name, array in plain.items()
    }


def answers(folder: Path) -> dict[str, Array]:
    """Of every graph to a few steps in a row: all that it tells."""
    engine = OnnxEngine(Bundle.read(folder), SETTINGS)
    found: dict[str, Array] = {}
    for graph, spec in engine.manifest.graphs.items():
        blank = blank_step(spec, graph)
        state: Arrays = {}
        for token in (5, 9, 7):
            inputs = {name: np.full_like(a, token) if a.ndim else a for name, a in blank.inputs.items()}
            inputs |= {name: np.asarray(token) for name in inputs if name == "token"}
            [result] = engine.run(graph, [Step(graph, inputs, state)])
            state = result.state
            found |= {f"{graph}.{token}.{name}": a for name, a in {**result.outputs, **state}.items()}
    return found


def test_other_tools_read_the_files_as_they_lie(text: Path) -> None:
    bundle = Bundle.read(text)
    for name, spec in bundle.manifest.graphs.items():
        beside = onnx.load(text / spec.file)  # the library looks for weights beside the file
        whole = onnx.load_model_from_string(bundle.read_graph(name))
        assert [t.raw_data for t in beside.graph.initializer] == [t.raw_data for t in whole.graph.initializer]


def test_where_little_is_shared_each_graph_keeps_its_own(tmp_path: Path) -> None:
    assert WEIGHTS not in Bundle.read(write_classifier(tmp_path)).manifest.files


def test_graphs_that_would_not_be_what_they_were_are_not_written(
    text: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = Bundle.read(text)
    graphs = {spec.file: bundle.read_graph(name) for name, spec in bundle.manifest.graphs.items()}
    assert WEIGHTS in shared_files(graphs)
    monkeypatch.setattr(sharing, "joined", lambda graph, weights: graph)
    with pytest.raises(ExportRefused, match=r"read\.onnx"):
        shared_files(graphs)


def test_weights_that_were_damaged_are_named(text: Path) -> None:
    data = bytearray((text / WEIGHTS).read_bytes())
    data[-1] ^= 1
    (text / WEIGHTS).write_bytes(data)
    assert f"{text / WEIGHTS}: was changed or damaged" in refused(text)
    (text / WEIGHTS).unlink()
    assert refused(text) == f"{text / WEIGHTS}: is missing"


def test_weights_that_are_a_link_are_refused(text: Path) -> None:
    (text / WEIGHTS).rename(text.parent / "elsewhere")
    (text / WEIGHTS).symlink_to(text.parent / "elsewhere")
    assert f"{text / WEIGHTS}: is a link" in refused(text)


def test_weights_that_are_too_short_or_mean_two_things_are_refused(text: Path) -> None:
    weights, step = ((text / name).read_bytes() for name in (WEIGHTS, "step.onnx"))
    assert "of weights.bin, which has" in refused(resealed(text, WEIGHTS, weights[:-1]))
    resealed(text, WEIGHTS, weights)
    model = onnx.ModelProto.FromString(step)
    tensor = next(t for t in model.graph.initializer if t.external_data and len(t.dims) == 2)
    tensor.dims.reverse()
    assert "belong to two tensors" in refused(resealed(text, "step.onnx", model.SerializeToString()))


def test_weights_that_the_manifest_does_not_know_are_not_looked_at(text: Path) -> None:
    manifest = json.loads((text / "manifest.json").read_text())
    del manifest["files"][WEIGHTS]
    (text / "manifest.json").write_text(json.dumps(manifest))
    assert "keeps weights in another file" in refused(text)
