import numpy as np
import pytest

from training.export import dev
from training.export.dev import Dev, batches


def test_rows_of_about_one_length_run_together_and_keep_their_numbers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(dev, "BATCH", 2)
    first, second = batches([np.array([4, 5, 6]), np.array([7]), np.array([8, 9])])
    assert first.indexes == [1, 2]
    assert first.rows.tolist() == [[7, 0], [8, 9]]
    assert first.lengths.tolist() == [1, 2]
    assert second.rows.tolist() == [[4, 5, 6]]


def test_rows_of_features_are_filled_up_with_zeros() -> None:
    [batch] = batches([np.ones((1, 3), np.float32), np.ones((2, 3), np.float32)])
    assert batch.rows.shape == (2, 2, 3)
    assert batch.rows.dtype == np.float32
    assert batch.rows.sum() == 9


def test_examples_are_spaced_evenly_up_to_the_limit() -> None:
    assert Dev.spaced([(n, n) for n in range(10)], 4) == Dev([0, 3, 6, 9], [0, 3, 6, 9])
    assert len(Dev.spaced([(1, 1)] * 3, 4).inputs) == 3
