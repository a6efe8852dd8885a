import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.bundle import Bundle
from service.config import EngineSettings
from service.engine.onnx import OnnxEngine
from service.errors import BundleRefused, StepFailed
from service.step import Array, Result, Step
from tests.fakes.toy_graphs import (
    ENCODE,
    HIDDEN,
    STEP,
    VOCABULARY,
    encode_graph,
    seal,
    step_graph,
    write_bundle,
)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OnnxEngine]:
    engine = load(write_bundle(tmp_path_factory.mktemp("toy")))
    yield engine
    engine.close()


def load(folder: Path) -> OnnxEngine:
    return OnnxEngine(Bundle.read(folder), EngineSettings())


def encode(tokens: list[int], read: Array | None = None) -> Step:
    return Step("encode", {"tokens": np.array(tokens)}, {} if read is None else {"read": read})


def step(encoded: Result, token: int, k: int, state: dict[str, Array]) -> Step:
    return Step("step", {"token": np.array(token), "k": np.array(k)}, state, encoded.context)


def assert_same(one: Result, other: Result) -> None:
    for ours, theirs in (
        (one.outputs, other.outputs),
        (one.state, other.state),
        (one.context, other.context),
    ):
        assert ours.keys() == theirs.keys()
        for name in ours:
            np.testing.assert_array_equal(ours[name], theirs[name], strict=True)


texts = st.lists(st.integers(0, VOCABULARY - 1), min_size=1, max_size=40)


@settings(max_examples=30)
@given(st.lists(st.tuples(texts, st.integers(0, 11), st.integers(1, 5)), min_size=1, max_size=20))
def test_a_row_is_the_same_bit_for_bit_in_any_batch(
    engine: OnnxEngine, work: list[tuple[list[int], int, int]]
) -> None:
    reads = [encode(tokens) for tokens, _, _ in work]
    encoded = engine.run("encode", reads)
    for one, result in zip(reads, encoded, strict=True):
        assert_same(engine.run("encode", [one])[0], result)
    states: list[Any] = [{} for _ in work]
    for _ in range(2):
        steps = [step(e, w[1], w[2], state) for e, w, state in zip(encoded, work, states, strict=True)]
        results = engine.run("step", steps)
        for one, result, (_, _, k) in zip(steps, results, work, strict=True):
            assert result.outputs["top_tokens"].shape == (k,)
            assert_same(engine.run("step", [one])[0], result)
        states = [result.state for result in results]


@settings(max_examples=30)
@given(texts, st.data())
def test_a_text_read_in_pieces_is_the_same_bit_for_bit(
    engine: OnnxEngine, text: list[int], data: Any
) -> None:
    cut = data.draw(st.integers(0, len(text)))
    whole = engine.run("encode", [encode(text)])[0]
    state, pieces = None, []
    for piece in filter(None, (text[:cut], text[cut:])):
        part = engine.run("encode", [encode(piece, state)])[0]
        state = part.state["read"]
        pieces.append(part.context["memory"])
    np.testing.assert_array_equal(np.concatenate(pieces), whole.context["memory"])
    np.testing.assert_array_equal(state, whole.state["read"])


def test_what_went_in_is_untouched_and_what_came_out_stays(engine: OnnxEngine) -> None:
    before = np.ones(HIDDEN, np.float32)
    first = engine.run("encode", [encode([1, 2], before)])[0]
    kept = copy.deepcopy(first)
    for n in range(5):
        engine.run("encode", [encode([n] * 9), encode([n])])
    assert_same(first, kept)
    assert (before == 1).all()


def test_a_state_that_is_missing_starts_at_its_initial_value(engine: OnnxEngine) -> None:
    encoded = engine.run("encode", [encode([1])])[0]
    half = {"written": np.full(HIDDEN, 0.5, np.float32)}
    assert_same(*(engine.run("step", [step(encoded, 3, 1, state)])[0] for state in ({}, half)))


@pytest.mark.parametrize("bad", [[VOCABULARY], [-VOCABULARY - 1], [2**40]])
def test_a_step_that_the_graph_cannot_run_fails_and_the_next_one_runs(
    engine: OnnxEngine, bad: list[int]
) -> None:
    with pytest.raises(StepFailed, match="encode"):
        engine.run("encode", [encode([1]), encode(bad)])
    assert len(engine.run("encode", [encode([1])])) == 1


def test_an_unknown_graph_and_no_steps_are_no_trouble(engine: OnnxEngine) -> None:
    with pytest.raises(StepFailed, match="encode, step"):
        engine.run("nowhere", [encode([1])])
    assert engine.run("encode", []) == []
    engine.warm_up()


def test_a_warm_up_runs_every_graph_alone_and_together_and_leaves_no_rows_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = load(write_bundle(tmp_path))
    seen: list[Any] = []
    before = engine.run("encode", [encode([1, 2, 3])])
    for name, graph in engine._graphs.items():
        monkeypatch.setattr(graph, "_session", Watched(name, graph._session, seen))
    engine.warm_up()
    bound = "resident step"
    assert sorted(seen) == sorted([(n, r) for n in ("encode", "step", bound) for r in (1, 16)])
    assert len(engine.resident("step")) == 0
    assert all(not graph._rows._contexts._held for graph in engine._graphs.values())
    assert_same(engine.run("encode", [encode([1, 2, 3])])[0], before[0])


class Watched:
    """A session that writes down how many rows it runs."""

    def __init__(self, name: str, session: Any, seen: list[tuple[str, int]]) -> None:
        self._name, self._session, self._seen = name, session, seen

    def run(self, outputs: Any, feeds: dict[str, Array], options: Any) -> Any:
        self._seen.append((self._name, len(feeds[next(iter(feeds))])))
        return self._session.run(outputs, feeds)

    def io_binding(self) -> Any:
        return self._session.io_binding()

    def run_with_iobinding(self, binding: Any, options: Any) -> None:
        self._session.run_with_iobinding(binding)
        self._seen.append((f"resident {self._name}", binding.get_outputs()[0].shape()[0]))


def refused(folder: Path) -> str:
    with pytest.raises(BundleRefused) as error:
        load(folder)
    return str(error.value)


@pytest.mark.parametrize(
    "data", [b"", b"not onnx", encode_graph()[:-100], b"\x08\x09" * 1000, bytes(range(256)) * 50]
)
def test_a_damaged_graph_is_refused_by_its_name(tmp_path: Path, data: bytes) -> None:
    folder = write_bundle(tmp_path / "x")
    (folder / "step.onnx").write_bytes(data)
    seal(
        folder, Bundle.read(write_bundle(tmp_path / "y")).manifest.model_dump(mode="json", exclude={"files"})
    )
    assert "step.onnx" in refused(folder)


def test_a_graph_that_keeps_its_weights_in_another_file_is_refused(tmp_path: Path) -> None:
    import onnx
    from onnx.external_data_helper import convert_model_to_external_data

    folder = write_bundle(tmp_path / "x")
    model = onnx.load_model_from_string(step_graph())
    convert_model_to_external_data(model, location="../secret", size_threshold=0)
    (folder / "step.onnx").write_bytes(model.SerializeToString())
    seal(
        folder, Bundle.read(write_bundle(tmp_path / "y")).manifest.model_dump(mode="json", exclude={"files"})
    )
    assert "another file" in refused(folder)


def changed(graph: dict[str, Any], side: str, index: int, **parts: Any) -> dict[str, Any]:
    changed = copy.deepcopy(graph)
    changed[side][index] |= parts
    return changed


@pytest.mark.parametrize(
    ("graphs", "reason"),
    [
        ({"encode": changed(ENCODE, "inputs", 0, tensor="nowhere"), "step": STEP}, "nowhere"),
        ({"encode": changed(ENCODE, "inputs", 0, dtype="float32"), "step": STEP}, "tensor(int64)"),
        ({"encode": changed(ENCODE, "outputs", 0, axes=["batch", "time", "wide"]), "step": STEP}, "memory"),
        (
            {"encode": changed(ENCODE, "outputs", 0, axes=["batch", 3, HIDDEN]), "step": STEP},
            "another dtype or shape",
        ),
        ({"encode": ENCODE | {"inputs": ENCODE["inputs"][:2]}, "step": STEP}, "read_in"),
    ],
)
def test_a_graph_that_is_not_what_the_manifest_says_is_refused(
    tmp_path: Path, graphs: Any, reason: str
) -> None:
    assert reason in refused(write_bundle(tmp_path, graphs=graphs))


def test_a_graph_with_a_fixed_batch_is_refused(tmp_path: Path) -> None:
    import onnx

    folder = write_bundle(tmp_path / "x")
    model = onnx.load_model_from_string(step_graph())
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    (folder / "step.onnx").write_bytes(model.SerializeToString())
    seal(
        folder, Bundle.read(write_bundle(tmp_path / "y")).manifest.model_dump(mode="json", exclude={"files"})
    )
    assert "token has shape" in refused(folder)
