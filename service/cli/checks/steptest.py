"""Tries a model of the task `tensors`: one row, ten times, then many together, and whether they answer alike."""

import asyncio
import time

import numpy as np

from service.cli.checks.finding import Finding, problem
from service.registry import Served
from service.step import Arrays
from service.tasks.tensors import TensorGraph, run_rows, stacked

BATCH = 64
ALONE = (0, 21, 63)
"""Which rows are tried alone, too."""
PATIENCE_S = 30.0


def tried_steps(about: str, served: Served) -> Finding:
    """Never raises: what goes wrong is the finding."""
    try:
        return asyncio.run(asyncio.wait_for(_measured(about, served), PATIENCE_S))
    except Exception as error:
        return problem(about, f"does not answer: {error!r}", "import it again, with this version of seqserve")


async def _measured(about: str, served: Served) -> Finding:
    graph = TensorGraph.of(served.bundle, next(iter(served.manifest.graphs)))
    rows, times = _rows(graph), []
    for _ in range(10):
        seconds, _ = await _timed(served, graph, rows[:1])
        times.append(seconds)
    seconds, together = await _timed(served, graph, rows)
    alone = [(await _timed(served, graph, [rows[index]]))[1] for index in ALONE]
    equal = all(
        array[0].tobytes() == together[name][index].tobytes()
        for index, outputs in zip(ALONE, alone, strict=True)
        for name, array in outputs.items()
    )
    facts = {
        "first_ms": round(times[0] * 1000, 2),
        "tenth_ms": round(times[-1] * 1000, 2),
        "batch_steps_per_s": round(BATCH / seconds),
        "bit_equal": equal,
    }
    same = (
        "bit-equal alone and in the batch" if equal else "not bit-equal in the batch, as its import allowed"
    )
    text = (
        f"first {facts['first_ms']} ms, tenth {facts['tenth_ms']} ms; {BATCH} at once "
        f"{BATCH / seconds:,.0f} steps/s; {same}"
    )
    return Finding(about, text, facts=facts)


async def _timed(served: Served, graph: TensorGraph, rows: list[Arrays]) -> tuple[float, Arrays]:
    started = time.perf_counter()
    readings = await run_rows(served, graph, rows)
    return time.perf_counter() - started, stacked(readings)


def _rows(graph: TensorGraph) -> list[Arrays]:
    """One input each, every row another."""
    rng = np.random.default_rng(0)
    tensors = {}
    for spec in graph.spec.inputs:
        if spec.role == "input":
            shape = [BATCH, *(1 if isinstance(axis, str) else axis for axis in spec.axes[1:])]
            numbers = (
                rng.normal(size=shape) if np.dtype(spec.dtype).kind == "f" else rng.integers(0, 2, shape)
            )
            tensors[spec.name] = numbers.astype(spec.dtype)
    return graph.rows(tensors)
