"""What the words of a text tell by themselves, in nodes; see `training.modules.word_counts`.

What was told so far goes on from chunk to chunk as a sum of whole steps, so that it is the same however a text is cut.
"""

import numpy as np

from training.export.graph import Value
from training.export.recurrence import Rows
from training.export.tensors import Signature
from training.modules.word_counts import STEP, WordCounts

TOLD = "told"
"""The state, in steps: [batch, labels]."""


def told(sign: Signature, counts: WordCounts, tokens: Value, rows: Rows, streams: bool) -> Value:
    """What is added to the labels' scores, [batch, labels], for `tokens` [time, batch]."""
    graph, steps = sign.graph, np.rint(counts.table().numpy() / STEP).astype(np.float32)
    each = graph.op("Gather", graph.constant(steps, np.float32, "weight"), tokens)
    real = graph.op("Where", rows.real, each, graph.constant(0, np.float32))
    total = graph.op("ReduceSum", real, graph.constant([0], np.int64), keepdims=0)
    if streams:
        total = graph.op("Add", total, sign.state(TOLD, steps.shape[1]))
        sign.output(TOLD, total, ("batch", steps.shape[1]), role="state")
    return graph.op("Mul", total, graph.constant(float(counts.weight.detach()) * STEP, np.float32))
