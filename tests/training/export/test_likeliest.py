"""The k likeliest of a row are those of a full sort, and the same ones for every k."""

from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.export.graph import Graph
from training.export.likeliest import likeliest

SIZES = (113, 120, 400)
"""A prime has no blocks."""


def session(size: int) -> ort.InferenceSession:
    graph = Graph("likeliest")
    log_probs = graph.input("log_probs", "float32", ["batch", size])
    tokens, best = likeliest(graph, log_probs, size, graph.input("k", "int64", []))
    graph.output(tokens, "tokens", "int64", ["batch", "k"])
    graph.output(best, "best", "float32", ["batch", "k"])
    return ort.InferenceSession(graph.model().SerializeToString(), providers=["CPUExecutionProvider"])


SESSIONS = {size: session(size) for size in SIZES}


def found(rows: Any, k: int) -> tuple[Any, Any]:
    tokens, best = SESSIONS[rows.shape[1]].run(None, {"log_probs": rows, "k": np.array(k)})
    return tokens, best


@pytest.mark.parametrize("size", SIZES)
@given(
    seed=st.integers(0, 2**32),
    batch=st.integers(1, 5),
    k=st.integers(1, 113),
    grain=st.sampled_from([2, 1000]),
)
def test_they_are_those_of_a_sort_and_the_first_of_more(
    size: int, seed: int, batch: int, k: int, grain: int
) -> None:
    rows = (
        np.random.default_rng(seed).integers(0, grain, (batch, size)).astype(np.float32)
    )  # few values: many ties
    tokens, best = found(rows, k)
    assert np.array_equal(best, -np.sort(-rows, axis=1)[:, :k])
    assert np.array_equal(np.take_along_axis(rows, tokens, axis=1), best)
    assert all(len(set(row)) == k for row in tokens.tolist())
    more, _ = found(rows, size)
    assert np.array_equal(more[:, :k], tokens)
