"""Before an imported model is served: its rows alone and in company, its steps and the whole."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from service.engine import Engine
from service.engine.probe import Probe
from service.errors import BundleRefused
from service.importing.layout import Axes, Layout, feeds_for
from service.step import Array, Arrays, Step

COMPANIES = (2, 3, 5, 8, 16, 33, 64)
"""Sizes of the batches that a row is run in."""
LENGTH = 6
STEPS_CLOSE = 1e-3
"""The most by which stepping may differ from the whole, in parts of the largest number: it is the same arithmetic."""


class Checked(NamedTuple):
    """What was found; 0.0: the same bits."""

    company: float
    """By how much a row differs from itself in any company."""
    whole: float | None
    """By how much stepping differs from running whole; None where the graph has no axis of time."""


def check_company(engine: Engine, graph: str, steps: Sequence[Step]) -> float:
    """The largest difference of a row from itself alone, over all companies; outputs and states."""
    alone = [engine.run(graph, [step])[0] for step in steps]
    worst = 0.0
    for num in COMPANIES:
        for row, result in enumerate(engine.run(graph, steps[:num])):
            worst = max(
                worst, _apart(result.outputs, alone[row].outputs), _apart(result.state, alone[row].state)
            )
    return worst


def check_whole(
    engine: Engine, graph: str, probe: Probe, layout: Layout, states: dict[str, str]
) -> float | None:
    """How far stepping is from running whole; BundleRefused where that is another thing altogether.

    Without an axis of time there is nothing to compare.
    """
    if not layout.has_time:
        return None
    feeds = feeds_for(probe.inputs, layout.inputs, 1, LENGTH, 3)
    feeds |= {name: np.zeros_like(feeds[name]) for name in states}
    whole = probe.run(feeds)
    assert whole is not None  # it ran when the layout was found
    rows = {name: np.take(array, 0, layout.outputs[name].batch) for name, array in whole.items()}
    given = {name: array for name, array in feeds.items() if name not in states}
    pieces, state = _stepped(engine, graph, given, layout)
    worst = _apart(state, {name: rows[after] for name, after in states.items()})
    for name in rows.keys() - set(states.values()):
        at = _in_row(layout.outputs[name])
        parts = [piece[name] for piece in pieces]
        worst = max(worst, _apart({name: parts[-1] if at is None else np.concatenate(parts, at)}, rows))
    if worst > STEPS_CLOSE:
        raise BundleRefused(
            f"{probe.path}: stepping does not equal running whole: they differ by {worst:.1e}. It may read in both "
            "directions, or a state is carried on by another output: name the pairs with --state INPUT=OUTPUT"
        )
    return worst


def _stepped(engine: Engine, graph: str, given: Arrays, layout: Layout) -> tuple[list[Arrays], Arrays]:
    """The outputs of each step over the one row, and the state after the last."""
    state: Arrays = {}
    pieces: list[Arrays] = []
    for at in range(LENGTH):
        inputs = {name: _moment(array, layout.inputs[name], at) for name, array in given.items()}
        [result] = engine.run(graph, [Step(graph, inputs, state)])
        state = result.state
        pieces.append(result.outputs)
    return pieces, state


def _moment(array: Array, axes: Axes, at: int) -> Array:
    """The row of a batch of one, of its time only one moment."""
    row, time = np.take(array, 0, axes.batch), _in_row(axes)
    return row if time is None else np.take(row, [at], time)


def _in_row(axes: Axes) -> int | None:
    """Where the time is once the batch is gone."""
    return None if axes.time is None else axes.time - (axes.time > axes.batch)


def _apart(one: Arrays, other: Arrays) -> float:
    """The largest difference in parts of the largest number; 0.0 only for the same bits."""
    worst = 0.0
    for name, array in one.items():
        expected = other[name]
        if array.shape != expected.shape:
            return float("inf")
        if array.tobytes() == expected.tobytes():
            continue
        a, b = array.astype(np.float64), expected.astype(np.float64)
        with np.errstate(all="ignore"):
            apart = float(np.max(np.abs(a - b)) / max(1.0, float(np.max(np.abs(b)))))
        worst = max(worst, apart if np.isfinite(apart) else float("inf"), np.finfo(np.float64).tiny)
    return worst
