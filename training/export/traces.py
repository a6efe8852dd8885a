"""What went on inside a stack, in nodes: gates, cells and outputs of the first so many units at every position.

They are computed only where somebody asks, by an `If`: a step that does not name the size `units` asks for none. The
loop over positions has h of every one; gates are functions of the h before them, so all positions are taken at once.

    outputs   trace_encoder_f_0, trace_encoder_c_0, …, trace_encoder_f_0_reverse   [batch, time, units]
"""

from collections.abc import Iterator, Sequence

import numpy as np

from service.bundle.manifest import TRACE, UNITS
from training.export.arithmetic import Arithmetic
from training.export.cells import LstmCell
from training.export.graph import Graph, Value
from training.export.recurrence import Run, Trail
from training.export.tensors import Signature


def trace(sign: Signature, numbers: Arithmetic, prefix: str, run: Run, time: str) -> None:
    """Declare the traces of a stack that ran over a chunk; `time` names the axis of its positions."""
    graph, units = sign.graph, sign.size(UNITS, of=UNITS, optional=True)
    wanted, unwanted = graph.body("wanted"), graph.body("unwanted")
    names = []
    for name, value in _seen(wanted, numbers, prefix, run):
        names.append(name)
        _declare(wanted, _first(wanted, value, units))
        _declare(unwanted, _none(unwanted, run.trails[0][0].given[0]))
    asked = graph.op("Greater", units, graph.constant(0, np.int64))
    found = graph.split(
        "If", asked, outputs=len(names), then_branch=wanted.proto(), else_branch=unwanted.proto()
    )
    for name, value in zip(names, found, strict=True):
        sign.output(TRACE + name, value, ("batch", time, UNITS))


def _seen(body: Graph, numbers: Arithmetic, prefix: str, run: Run) -> Iterator[tuple[str, Value]]:
    """Name and value [time, batch, hidden] of each."""
    for layer, trails in enumerate(run.trails):
        for backward, trail in enumerate(trails):
            end = f"{layer}_reverse" if backward else f"{layer}"
            for letter, value in _letters(body, numbers, trail, bool(backward)):
                yield f"{prefix}_{letter}_{end}", value


def _letters(body: Graph, numbers: Arithmetic, trail: Trail, backward: bool) -> Iterator[tuple[str, Value]]:
    """Gates, then c of an LSTM (where it is known of every position), then h."""
    cell, hidden = trail.cell, trail.emitted[0]
    before = numbers.held(_before(body, trail, backward)) if cell.has_product else None
    yield from cell.gates(body, numbers, trail.given, before).items()
    if isinstance(cell, LstmCell):
        yield from (("c", kept) for kept in trail.emitted[1:])
    yield "h", numbers.floats(body, numbers.held(hidden)) if cell.has_product else hidden


def _before(body: Graph, trail: Trail, backward: bool) -> Value:
    """h before each position, as it is carried: the chunk's, moved by one; the first one at the open end."""
    first = body.op("Unsqueeze", trail.first, body.constant([0], np.int64))
    start, end = ([1], [np.iinfo(np.int64).max]) if backward else ([0], [-1])
    bounds = (body.constant(each, np.int64) for each in (start, end, [0]))
    rest = body.op("Slice", trail.emitted[0], *bounds)
    return body.op("Concat", *((rest, first) if backward else (first, rest)), axis=0)


def _first(body: Graph, value: Value, units: Value) -> Value:
    """The first units of [time, batch, hidden]: [batch, time, units]."""
    size = body.op("Unsqueeze", units, body.constant([0], np.int64))
    bounds = body.constant([0], np.int64), size, body.constant([2], np.int64)
    return body.op("Transpose", body.op("Slice", value, *bounds), perm=[1, 0, 2])


def _none(body: Graph, like: Value) -> Value:
    """[batch, time, 0], for a value [time, batch, ·]."""
    time, batch = (body.op("Shape", like, start=axis, end=axis + 1) for axis in (0, 1))
    shape = body.op("Concat", batch, time, body.constant([0], np.int64), axis=0)
    return body.op("Expand", body.constant([[[0.0]]], np.float32), shape)


def _declare(body: Graph, value: Value) -> None:
    axes: Sequence[str | int] = ("batch", "time", "units")
    body.output(value, body.fresh("seen"), "float32", axes)
