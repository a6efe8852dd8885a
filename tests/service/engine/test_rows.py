from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.bundle.manifest import GraphSpec, TensorSpec
from service.engine.rows import Rows
from service.errors import StepFailed
from service.step import Array, Step


def tensor(name: str, role: str, *axes: str | int, dtype: str = "float32", **more: Any) -> TensorSpec:
    return TensorSpec.model_validate(
        {"name": name, "tensor": f"{role}.{name}", "dtype": dtype, "axes": axes, "role": role} | more
    )


SPEC = GraphSpec(
    file="x.onnx",
    inputs=(
        tensor("ids", "input", "batch", "time", dtype="int64"),
        tensor("frames", "input", "batch", "time", 2),
        tensor("token", "input", "batch", dtype="int64"),
        tensor("lengths", "lengths", "batch", of="time", dtype="int64"),
        tensor("k", "size", of="k", dtype="int64"),
        tensor("h", "state", "batch", 3, initial=0.5),
        tensor("coverage", "state", "batch", "source", initial=0.25),
        tensor("memory", "context", "batch", "source", 2),
        tensor("mask", "context", "batch", "source", dtype="int64"),
        tensor("sources", "lengths", "batch", of="source", dtype="int64"),
    ),
    outputs=(
        tensor("ids", "output", "batch", "time", dtype="int64"),
        tensor("top", "output", "batch", "k"),
        tensor("h", "state", "batch", 3),
        tensor("coverage", "state", "batch", "source"),
        tensor("memory", "context", "batch", "source", 2),
    ),
    pad={"time": 4, "source": 3},
)


def step(time: int = 2, source: int = 2, k: int = 1, seed: int = 0, **context: Array) -> Step:
    rng = np.random.default_rng(seed)
    inputs: dict[str, Array] = {
        "ids": rng.integers(1, 99, time),
        "frames": rng.normal(size=(time, 2)).astype(np.float32),
        "token": np.array(seed),
        "k": np.array(k),
    }
    state = {
        "h": rng.normal(size=3).astype(np.float32),
        "coverage": rng.normal(size=source).astype(np.float32),
        "of another graph": np.zeros(1, np.float32),
    }
    memory = rng.normal(size=(source, 2)).astype(np.float32)
    return Step("x", inputs, state, {"memory": memory, "mask": np.ones(source, np.int64), **context})


def echo(feeds: Any) -> list[Array]:
    """A graph that answers what it was asked, and for `top` the token, as often as the largest k."""
    top = np.repeat(feeds["input.token"][:, None], feeds["size.k"], axis=1).astype(np.float32)
    return [feeds["input.ids"], top, feeds["state.h"], feeds["state.coverage"], feeds["context.memory"]]


steps = st.lists(st.builds(step, *[st.integers(1, 9)] * 3, st.integers(0, 99)), min_size=1, max_size=9)


@settings(max_examples=50)
@given(st.lists(steps, min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_stacked_and_split_again_every_row_is_what_it_was(batches: list[list[Step]], random: Any) -> None:
    rows = Rows("x", SPEC)
    for new in batches:
        batch = new + random.sample(
            batches[0], random.randint(0, len(batches[0]))
        )  # some stay, some come again
        random.shuffle(batch)
        stacked = rows.stack(batch)
        results = rows.split(stacked, echo(stacked.feeds))
        for one, result in zip(batch, results, strict=True):
            np.testing.assert_array_equal(result.outputs["ids"], one.inputs["ids"])
            np.testing.assert_array_equal(
                result.outputs["top"], [float(one.inputs["token"])] * int(one.inputs["k"])
            )
            np.testing.assert_array_equal(result.state["h"], one.state["h"])
            np.testing.assert_array_equal(result.state["coverage"], one.state["coverage"])
            np.testing.assert_array_equal(result.context["memory"], one.context["memory"])


@settings(max_examples=50)
@given(steps)
def test_padding_is_zero_and_a_multiple_and_lengths_and_sizes_are_told(batch: list[Step]) -> None:
    stacked = Rows("x", SPEC).stack(batch)
    feeds, order = stacked.feeds, [batch[index] for index in stacked.seats]
    times = [len(one.inputs["ids"]) for one in order]
    sources = [len(one.context["mask"]) for one in order]
    assert feeds["lengths.lengths"].tolist() == times
    assert feeds["lengths.sources"].tolist() == sources
    assert feeds["size.k"] == max(int(one.inputs["k"]) for one in batch)
    assert feeds["input.frames"].shape == (len(batch), -(-max(times) // 4) * 4, 2)
    assert feeds["context.memory"].shape == (len(batch), -(-max(sources) // 3) * 3, 2)
    for row, (time, source) in enumerate(zip(times, sources, strict=True)):
        assert not feeds["input.frames"][row, time:].any()
        assert not feeds["context.memory"][row, source:].any()
        assert not feeds["context.mask"][row, source:].any()


def test_a_missing_state_starts_at_its_initial_value() -> None:
    stacked = Rows("x", SPEC).stack([Step("x", step().inputs, {}, step(source=2).context)])
    assert stacked.feeds["state.h"].tolist() == [[0.5] * 3]
    assert stacked.feeds["state.coverage"].tolist() == [[0.25, 0.25, 0.0]]


def stacked_memory(rows: Rows, batch: Sequence[Step]) -> list[list[float]]:
    stacked = rows.stack(batch)
    memory = stacked.feeds["context.memory"]
    back = dict(zip(stacked.seats, memory, strict=True))
    return [back[index][: len(one.context["mask"])].ravel().tolist() for index, one in enumerate(batch)]


def test_contexts_that_stay_are_not_copied_again() -> None:
    rows, batch = Rows("x", SPEC), [step(seed=n) for n in range(5)]
    stacked_memory(rows, batch)
    for one in batch:
        one.context["memory"][...] = 7  # nobody does this: a copy would show
    joining, staying = step(seed=9), [batch[4], batch[0], batch[2]]
    seen = stacked_memory(rows, [*staying, joining])
    assert seen[3] == joining.context["memory"].ravel().tolist()
    assert 7 not in seen[1] + seen[2], "they sat in the first slots and stayed there"


def test_one_context_may_sit_in_several_rows() -> None:
    rows, one, other = Rows("x", SPEC), step(seed=1), step(seed=2)
    for batch in ([one] * 3, [other, one, one], [one, other, other, one], [other]):
        assert stacked_memory(rows, batch) == [s.context["memory"].ravel().tolist() for s in batch]


def test_a_short_context_after_a_long_one_finds_no_trace_of_it() -> None:
    rows = Rows("x", SPEC)
    rows.stack([step(source=6, seed=1), step(source=6, seed=2)])
    feeds = rows.stack([step(source=4, seed=3), step(source=1, seed=4)]).feeds
    assert not feeds["context.memory"][0, 4:].any()
    assert not feeds["context.memory"][1, 1:].any()


def test_much_shorter_contexts_are_not_padded_to_those_of_the_batch_before() -> None:
    rows = Rows("x", SPEC)
    rows.stack([step(source=90)])
    assert rows.stack([step(source=2)]).feeds["context.memory"].shape[1] == 3


def test_a_result_does_not_change_when_the_next_batch_is_stacked() -> None:
    rows, first = Rows("x", SPEC), step(seed=1)
    stacked = rows.stack([first])
    kept = rows.split(stacked, echo(stacked.feeds))[0]
    rows.stack([step(seed=2)])
    np.testing.assert_array_equal(kept.context["memory"], first.context["memory"])
    assert all(array.base is None for array in (*kept.state.values(), *kept.context.values())), (
        "no batch is kept alive"
    )


@pytest.mark.parametrize(
    ("part", "name", "value", "reason"),
    [
        ("inputs", "ids", None, "lacks 'ids'"),
        ("context", "memory", None, "lacks 'memory'"),
        ("inputs", "frames", np.zeros((3, 2), np.float32), "not float32"),
        ("inputs", "frames", np.zeros((2, 2)), "float64"),
        ("inputs", "token", np.array(1.5), "float64"),
        ("inputs", "token", np.array([1]), "of a step is"),
        ("inputs", "token", 3, "no array"),
        ("inputs", "ids", np.array([], np.int64), "empty"),
        ("inputs", "k", np.array(0), "empty"),
        ("inputs", "k", np.array([1, 2]), "no array"),
        ("state", "h", np.zeros(6, np.float32), "of a step is"),
        ("state", "coverage", np.zeros(3, np.float32), "of a step is"),
        ("context", "mask", np.ones(3, np.int64), "of a step is"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_name(part: str, name: str, value: Any, reason: str) -> None:
    good = step()
    parts: dict[str, Any] = {
        "inputs": dict(good.inputs),
        "state": dict(good.state),
        "context": dict(good.context),
    }
    parts[part] = {k: v for k, v in (parts[part] | {name: value}).items() if v is not None}
    rows = Rows("x", SPEC)
    with pytest.raises(StepFailed, match=reason):
        rows.stack([good, Step("x", **parts)])
    assert stacked_memory(rows, [good]) == [good.context["memory"].ravel().tolist()]


@pytest.mark.parametrize(("output", "shape"), [(0, (2, 3)), (0, (1, 1)), (2, (3,)), (3, (1, 1))])
def test_an_answer_of_another_shape_is_refused(output: int, shape: tuple[int, ...]) -> None:
    rows = Rows("x", SPEC)
    stacked = rows.stack([step()])
    arrays = echo(stacked.feeds)
    arrays[output] = np.zeros(shape, arrays[output].dtype)
    with pytest.raises(StepFailed, match="answers"):
        rows.split(stacked, arrays)


TRACED = GraphSpec(
    file="x.onnx",
    inputs=(
        tensor("ids", "input", "batch", "time", dtype="int64"),
        tensor("units", "size", of="units", dtype="int64", optional=True),
    ),
    outputs=(
        tensor("log_probs", "output", "batch", 2),
        tensor("gate", "output", "batch", "time", "units"),
    ),
)


def test_a_size_that_is_optional_may_be_asked_for_by_some_and_left_out_by_others() -> None:
    asks = Step("x", {"ids": np.ones(2, np.int64), "units": np.array(3)}, wanted=("log_probs", "gate"))
    plain = Step("x", {"ids": np.ones(1, np.int64)}, wanted=("log_probs",))
    rows = Rows("x", TRACED)
    batch = rows.stack([asks, plain])
    assert batch.feeds["size.units"].tolist() == 3
    told, silent = rows.split(batch, [np.zeros((2, 2), np.float32), np.ones((2, 2, 3), np.float32)])
    assert told.outputs["gate"].shape == (2, 3)
    assert list(silent.outputs) == ["log_probs"]


def test_where_nobody_asks_for_an_optional_size_it_is_none() -> None:
    batch = Rows("x", TRACED).stack([Step("x", {"ids": np.ones(2, np.int64)}, wanted=("log_probs",))])
    assert (batch.feeds["size.units"].tolist(), batch.fetched) == (0, ["output.log_probs"])


def test_only_a_size_may_be_optional() -> None:
    with pytest.raises(ValueError, match="only a size may be optional"):
        tensor("h", "state", "batch", 3, optional=True)
