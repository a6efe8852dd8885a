"""What a graph says of the next token: the likeliest ones, and, where somebody wants it, all.

All of them are an output that costs next to nothing (64 rows of 6,000: 0.2 of 2.6 ms, and nothing where it is not
fetched); to ask for k = 6,000 of the likeliest costs 32 ms.

`TopK` looks at one number after another; the largest alone is found many at a time. So the vocabulary is laid out
in blocks, and only in the k blocks with the largest numbers are the k largest looked for (64 rows of 6,000, k = 1: 43
instead of 228 µs):

    log_probs [batch, 6000] as [batch, 80, 75]    the largest of each block                [batch, 80]
    TopK of 80                                    the k blocks that hold the k largest     [batch, k, 75]
    TopK of k · 75

Of equal ones the first block's comes first, whatever k is: a row gets the same tokens whatever the others of its batch
ask for.
"""

import numpy as np

from training.export.graph import Graph, Value
from training.export.tensors import Signature

EVERYTHING = "all_log_probs"
LEAST_BLOCK = 8
"""A vocabulary that has no divisor from here up to its square root is one block."""


def say_next(sign: Signature, logits: Value, size: int, k: Value) -> None:
    """The outputs of every graph that writes tokens, from logits [batch, size]."""
    log_probs = sign.graph.op("LogSoftmax", logits, axis=-1)
    tokens, best = likeliest(sign.graph, log_probs, size, k)
    sign.output("top_tokens", tokens, ("batch", "k"), dtype="int64")
    sign.output("top_log_probs", best, ("batch", "k"))
    sign.output(EVERYTHING, log_probs, ("batch", size))


def likeliest(graph: Graph, log_probs: Value, size: int, k: Value) -> tuple[Value, Value]:
    """Of `log_probs` [batch, size] the `k` largest, best first: where they are, and they themselves [batch, k]."""
    wanted = graph.op("Unsqueeze", k, graph.constant([0], np.int64))
    block = _block(size)
    if block is None:
        best, tokens = graph.split("TopK", log_probs, wanted, outputs=2, axis=-1)
        return tokens, best
    blocks = graph.op("Reshape", log_probs, graph.constant([0, -1, block], np.int64))
    largest = graph.op("ReduceMax", blocks, graph.constant([-1], np.int64), keepdims=0)
    enough = graph.op("Min", wanted, graph.constant([size // block], np.int64))
    _, which = graph.split("TopK", largest, enough, outputs=2, axis=-1)
    chosen = graph.op(
        "GatherND", blocks, graph.op("Unsqueeze", which, graph.constant([2], np.int64)), batch_dims=1
    )
    flat = graph.op("Reshape", chosen, graph.constant([0, -1], np.int64))
    best, places = graph.split("TopK", flat, wanted, outputs=2, axis=-1)
    width = graph.constant(block, np.int64)
    origin = graph.op("GatherElements", which, graph.op("Div", places, width), axis=-1)
    return graph.op("Add", graph.op("Mul", origin, width), graph.op("Mod", places, width)), best


def _block(size: int) -> int | None:
    """The divisor of `size` that is nearest to its square root from below."""
    return next((each for each in range(int(size**0.5), LEAST_BLOCK - 1, -1) if size % each == 0), None)
