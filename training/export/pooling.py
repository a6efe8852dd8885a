"""A whole text as one vector: each unit's maximum over the positions.

It goes on from chunk to chunk: of a one-way encoder the largest outputs so far are part of the state.
"""

import numpy as np

from training.export.arithmetic import Arithmetic
from training.export.recurrence import Rows, Run, Stack
from training.export.signal import Signal
from training.export.tensors import Signature
from training.modules.attention import MASKED

LARGEST = "largest"
"""The state: [batch, hidden]."""


def pooled(
    sign: Signature, numbers: Arithmetic, stack: Stack, run: Run, rows: Rows, largest_name: str = LARGEST
) -> Signal:
    """[batch, directions * hidden]."""
    graph, outputs = sign.graph, run.outputs.floats(sign.graph)
    masked = graph.op("Where", rows.real, outputs, graph.constant(MASKED, np.float32))
    largest = graph.op("ReduceMax", masked, graph.constant([0], np.int64), keepdims=0)
    if stack.directions == 1:
        largest = graph.op("Max", largest, sign.state(largest_name, stack.size, initial=MASKED))
        sign.output(largest_name, largest, ("batch", stack.size), role="state", initial=MASKED)
    if run.outputs.bounded:
        return Signal(numbers, factor=numbers.bounded(graph, largest))
    return Signal(numbers, floats=largest)
