"""Rows that stay in their batch: whoever comes and goes, each row is as it would be alone."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.bundle import Bundle
from service.config import EngineSettings
from service.engine import Resident
from service.engine.onnx import OnnxEngine
from service.engine.resident import seating
from service.errors import StepFailed
from service.step import Arrays, Result, Step, Wanted
from tests.bundles import write_translator
from tests.fakes.rolling_sum import RollingSum

ONE = np.array(1)
NUM_STEPS = 6


@given(st.integers(0, 12), st.data(), st.integers(0, 12))
def test_everyone_who_stays_or_joins_has_one_seat(num: int, data: st.DataObject, joining: int) -> None:
    leaving = data.draw(st.sets(st.integers(0, max(0, num - 1)), max_size=num)) if num else set()
    order = seating(num, sorted(leaving), joining)
    stay = set(range(num)) - leaving
    assert sorted(order) == sorted(stay | {-1 - i for i in range(joining)})
    moved = sum(row != slot for slot, row in enumerate(order) if row >= 0)
    assert moved <= max(0, len(leaving) - joining), "nobody moves but into gaps that nobody takes"
    assert all(row >= slot for slot, row in enumerate(order) if row >= 0), "and only ever down"


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> OnnxEngine:
    path = write_translator(tmp_path_factory.mktemp("models"))
    return OnnxEngine(Bundle.read(path), EngineSettings())


def encoded(engine: OnnxEngine, num: int) -> list[Result]:
    """Texts of very different lengths, so that padding comes and goes."""
    rng = np.random.default_rng(0)
    texts = [rng.integers(4, 40, length) for length in rng.permutation(np.linspace(1, 90, num).astype(int))]
    return [engine.run("encode", [Step("encode", {"tokens": text})])[0] for text in texts]


def first(read: Result) -> Step:
    return Step("step", {"token": np.array(2), "k": ONE}, read.state, read.context)


def alone(engine: OnnxEngine, read: Result) -> list[bytes]:
    """Every output and state of a row that is by itself."""
    step, seen = first(read), []
    for _ in range(NUM_STEPS):
        [result] = engine.run("step", [step])
        seen.append(written(result.outputs, result.state))
        token = result.outputs["top_tokens"][0, ...]
        step = Step("step", {"token": token, "k": ONE}, {**step.state, **result.state}, read.context)
    return seen


def own(slot: int, read: Result, *parts: Arrays) -> list[Arrays]:
    """A row's own arrays, without the padding of what looks at the source."""
    length = len(read.context["keys"])
    return [
        {name: array[slot, :length] if name == "attention" else array[slot] for name, array in part.items()}
        for part in parts
    ]


def written(*named: object) -> bytes:
    return b"".join(
        np.ascontiguousarray(arrays[name]).tobytes()
        for arrays in named
        if isinstance(arrays, dict)
        for name in sorted(arrays)
    )


@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_whoever_comes_and_goes_each_row_is_as_it_is_alone(engine: OnnxEngine, data: st.DataObject) -> None:
    reads = encoded(engine, 10)
    expected = [alone(engine, read) for read in reads]
    resident, waiting = engine.resident("step"), list(range(len(reads)))
    seated: list[int] = []
    tokens: list[int] = []
    seen: dict[int, list[bytes]] = {i: [] for i in waiting}
    while waiting or seated:
        leaving = [slot for slot, i in enumerate(seated) if len(seen[i]) == NUM_STEPS or _coin(data)]
        coming = [waiting.pop() for _ in range(data.draw(st.integers(int(not seated), 4))) if waiting]
        if leaving or coming:
            order = resident.reseat(leaving, [first(reads[i]) for i in coming])
            seated = [seated[row] if row >= 0 else coming[-1 - row] for row in order]
            tokens = [tokens[row] if row >= 0 else 2 for row in order]
        if seated:
            outputs, states = resident.run({"token": np.array(tokens)}, {"k": 1})
            tokens = outputs["top_tokens"][:, 0].tolist()
            for slot, i in enumerate(seated):
                seen[i].append(written(*own(slot, reads[i], outputs, states)))
    for i, rows in seen.items():
        assert rows == expected[i][: len(rows)]


def _coin(data: st.DataObject) -> bool:
    return data.draw(st.integers(0, 9)) == 0


def test_what_a_run_gave_stays_as_it_is(engine: OnnxEngine) -> None:
    resident = engine.resident("step")
    resident.reseat([], [first(read) for read in encoded(engine, 3)])
    _, states = resident.run({"token": np.full(3, 2)}, {"k": 1})
    before = written(dict(states))
    for _ in range(3):
        resident.run({"token": np.full(3, 5)}, {"k": 1})
    resident.reseat([1], [])
    assert written(dict(states)) == before


def test_who_does_not_fit_is_refused_and_nobody_notices(engine: OnnxEngine) -> None:
    reads = encoded(engine, 3)
    resident = engine.resident("step")
    resident.reseat([], [first(reads[0])])
    crooked = Step("step", {"token": np.array(2), "k": ONE}, {}, {"keys": np.zeros((2, 2), np.float32)})
    with pytest.raises(StepFailed):
        resident.reseat([0], [first(reads[1]), crooked])
    outputs, states = resident.run({"token": np.full(1, 2)}, {"k": 1})
    assert written(*own(0, reads[0], outputs, states)) == alone(engine, reads[0])[0]


def asking(read: Result, *wanted: str) -> Step:
    return replace(first(read), wanted=wanted)


def test_what_nobody_wants_is_not_fetched_and_what_one_wants_is_there_as_long_as_he_is(
    engine: OnnxEngine,
) -> None:
    reads = encoded(engine, 3)
    few = "top_tokens", "top_log_probs"
    resident = engine.resident("step")

    def fetched() -> list[str]:
        return list(resident.run({"token": np.full(len(resident), 2)}, {"k": 1})[0])

    resident.reseat([], [asking(read, *few) for read in reads[:2]])
    assert fetched() == list(few)
    resident.reseat([], [asking(reads[2], *few, "attention")])
    assert fetched() == [*few, "attention"]
    assert resident.step(2, {}).wanted == (*few, "attention")
    resident.reseat([2], [])
    assert fetched() == list(few)
    with pytest.raises(StepFailed, match="no output 'gates'; it gives all_log_probs, attention"):
        resident.reseat([], [asking(reads[2], "gates")])
    assert len(fetched()) == 2


def test_a_step_is_answered_with_what_it_wants_whatever_the_others_want(engine: OnnxEngine) -> None:
    read, *_ = encoded(engine, 3)
    wishes: list[Wanted] = [("top_tokens",), None, (), ("attention", "top_tokens")]
    steps = [replace(first(read), wanted=wanted) for wanted in wishes]
    together = engine.run("step", steps)
    names = [sorted(result.outputs) for result in together]
    assert names == [
        ["top_tokens"],
        ["all_log_probs", "attention", "top_log_probs", "top_tokens"],
        [],
        ["attention", "top_tokens"],
    ]
    for step, result in zip(steps, together, strict=True):
        [alone] = engine.run("step", [step])
        assert written(alone.outputs, alone.state) == written(result.outputs, result.state)
    looked = together[1].outputs["attention"]
    assert looked.shape == (len(read.context["keys"]),)
    assert looked.sum() == pytest.approx(1, abs=1e-5)


def test_a_row_can_be_run_elsewhere(engine: OnnxEngine) -> None:
    reads = encoded(engine, 4)
    resident = engine.resident("step")
    resident.reseat([], [first(read) for read in reads])
    outputs, _ = resident.run({"token": np.full(4, 2)}, {"k": 1})
    for slot, read in enumerate(reads):
        token = outputs["top_tokens"][slot, 0, ...]
        [result] = engine.run("step", [resident.step(slot, {"token": token, "k": ONE})])
        assert written(result.outputs, result.state) == alone(engine, read)[1]


def test_there_is_no_batch_of_a_graph_that_is_not_there(engine: OnnxEngine) -> None:
    with pytest.raises(StepFailed, match="no graph 'nowhere'"):
        engine.resident("nowhere")


def test_who_comes_again_in_another_order_is_not_mistaken_for_another(engine: OnnxEngine) -> None:
    reads = encoded(engine, 4)
    resident = engine.resident("step")
    resident.reseat([], [first(read) for read in reads])
    order = resident.reseat([0, 1, 2], [first(reads[i]) for i in (2, 0, 1)])
    outputs, states = resident.run({"token": np.full(4, 2)}, {"k": 1})
    for slot, row in enumerate(order):
        read = reads[(2, 0, 1)[-1 - row] if row < 0 else row]
        assert written(*own(slot, read, outputs, states)) == alone(engine, read)[0]


def listening(num: int) -> Step:
    return Step("write", {"number": np.array(1), "k": ONE}, {}, {"list": np.full(num, 9)})


def widths(engine: RollingSum, resident: Resident, num: int) -> int:
    """How long the contexts are padded; the engine looks whether anything lies beyond a row's own length."""
    resident.run({"number": np.ones(num, np.int64)}, {"k": 1})
    return engine.padded[-1][1]


def test_nothing_of_a_longer_context_is_left_to_who_takes_its_place() -> None:
    engine = RollingSum()
    resident = engine.resident("write")
    resident.reseat([], [listening(20), listening(20)])
    resident.reseat([1], [listening(3)])
    assert widths(engine, resident, 2) == 20


def test_a_batch_that_a_long_context_has_left_is_padded_less() -> None:
    engine = RollingSum()
    resident = engine.resident("write")
    resident.reseat([], [listening(3), listening(400), listening(5)])
    assert widths(engine, resident, 3) == 400
    resident.reseat([1], [])
    assert widths(engine, resident, 2) == 8
