"""Blank steps: what a graph is warmed up with, and tried with when it has failed."""

import numpy as np

from service.bundle.manifest import GraphSpec
from service.step import Step

WARM_LENGTH = 16
"""Of every ragged axis."""


def blank_step(spec: GraphSpec, graph: str = "") -> Step:
    """Make a step of zeros that asks for one of each size."""
    arrays = {
        role: {
            t.name: np.full(
                [
                    min(WARM_LENGTH, spec.chunk or WARM_LENGTH) if isinstance(a, str) else a
                    for a in t.axes[1:]
                ],
                role == "size",
                t.dtype,
            )
            for t in spec.inputs
            if t.role == role
        }
        for role in ("input", "size", "context")
    }
    return Step(graph, {**arrays["input"], **arrays["size"]}, context=arrays["context"])
