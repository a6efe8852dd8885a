"""Every cell, direction, depth and attention: the graphs equal PyTorch step by step, and rows are exact.

Small sizes here; `test_export` has some of them in larger ones.
"""

import itertools
from typing import Any, get_args

import pytest
import torch

from training.config import Attention, Cell, Seq2SeqSection
from training.export import attention, cells, check
from training.export.arithmetic import ARITHMETICS
from training.export.check import TOLERANCE, Runner
from training.export.check_seq2seq import Seq2SeqCheck
from training.export.seq2seq import Seq2SeqGraphs
from training.models.seq2seq import Seq2Seq
from training.modules.attention import ATTENTIONS
from training.modules.cells import CELLS, STATES

DEPTHS = (1, 2, 4)
HELP: dict[str, dict[str, bool]] = {
    "plain": {},
    "residual": {"residual": True},
    "norm": {"norm": True},
    "both": {"residual": True, "norm": True},
}
"""What helps depth."""
SMALL = (1, (1,)), (4, (1, 9, 33, 2))
"""Batch sizes and the lengths in them, as `check.SHAPES`."""

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "SHAPES", SMALL)


def differences(cell: str, two_way: bool, layers: int, look: str, **more: Any) -> dict[str, float]:
    """How far the graphs are from PyTorch, by arithmetic; ExportRefused where a row is not exact."""
    shared = {"cell": cell, "layers": layers, **more}
    encoder = {**shared, "hidden": 8, "bidirectional": two_way}
    decoder = {**shared, "hidden": 8 * (1 + two_way), "attention": look}
    section = Seq2SeqSection.model_validate({"embedding": 16, "encoder": encoder, "decoder": decoder})
    torch.manual_seed(0)
    model = Seq2Seq(section, 40).eval()
    found = {}
    for name, numbers in ARITHMETICS.items():
        graphs = Seq2SeqGraphs(model, section, numbers()).graphs()
        runners = {graph: Runner(*pair) for graph, pair in graphs.items()}
        tolerance = TOLERANCE if name == "fp32" else None
        found[name] = Seq2SeqCheck(model, runners, tolerance).run()
    return found


@pytest.mark.parametrize("look", ATTENTIONS)
@pytest.mark.parametrize("two_way", [False, True], ids=["one-way", "two-way"])
@pytest.mark.parametrize("cell", CELLS)
def test_every_combination_equals_pytorch_and_rows_are_exact(cell: str, two_way: bool, look: str) -> None:
    for layers in DEPTHS:
        found = differences(cell, two_way, layers, look)
        assert found["fp32"] < 1e-6
        assert found["int8"] < 0.01


@pytest.mark.parametrize(
    ("cell", "two_way", "layers", "helped"),
    [
        (*each, list(HELP)[1 + i % 3])
        for i, each in enumerate(itertools.product(CELLS, (False, True), DEPTHS))
    ],
)
def test_what_helps_depth_is_exported_too(cell: str, two_way: bool, layers: int, helped: str) -> None:
    look = list(ATTENTIONS)[(layers + two_way) % len(ATTENTIONS)]
    found = differences(cell, two_way, layers, look, **HELP[helped])
    assert found["fp32"] < 1e-6
    assert found["int8"] < 0.02


def test_the_tables_name_the_same_choices() -> None:
    assert set(get_args(Cell)) == set(CELLS) == set(STATES) == set(cells.CELLS)
    assert set(get_args(Attention)) == set(ATTENTIONS) == set(attention.ATTENTIONS)
