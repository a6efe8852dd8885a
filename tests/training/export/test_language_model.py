"""Graphs of language models do what PyTorch does, row by row, and whole as in chunks."""

import itertools

import pytest
import torch

from training.config import LanguageModelSection
from training.export.arithmetic import Arithmetic, Float32, RowwiseInt8
from training.export.check import TOLERANCE, ExportRefused, Runner
from training.export.check_language_model import LanguageModelCheck
from training.export.language_model import LanguageModelGraphs
from training.models.language_model import LanguageModel

torch.set_num_threads(1)


def language_model(cell: str, layers: int, tied: bool = False) -> tuple[LanguageModel, LanguageModelSection]:
    encoder = {"cell": cell, "layers": layers, "hidden": 37}
    section = LanguageModelSection.model_validate({"embedding": 37, "tied": tied, "encoder": encoder})
    torch.manual_seed(0)
    return LanguageModel(section, 69).eval(), section


def check(
    model: LanguageModel, section: LanguageModelSection, numbers: Arithmetic, tolerance: float | None
) -> float:
    graphs = LanguageModelGraphs(model, section, numbers).graphs()
    return LanguageModelCheck(model, {name: Runner(*pair) for name, pair in graphs.items()}, tolerance).run()


@pytest.mark.parametrize(
    ("cell", "layers"), list(itertools.product(("rnn", "lstm", "gru", "mingru"), (1, 2)))
)
def test_language_models_equal_pytorch_alone_in_batches_and_in_chunks(cell: str, layers: int) -> None:
    model, section = language_model(cell, layers)
    assert check(model, section, Float32(), TOLERANCE) < 1e-5
    assert check(model, section, RowwiseInt8(), None) < 0.01


def test_a_tied_matrix_is_used_on_both_sides() -> None:
    model, section = language_model("lstm", 2, tied=True)
    assert model.output.weight is model.encoder.embedding.weight
    assert check(model, section, Float32(), TOLERANCE) < 1e-5


def test_graphs_of_other_weights_are_refused() -> None:
    model, section = language_model("lstm", 1)
    graphs = LanguageModelGraphs(model, section, Float32()).graphs()
    with torch.no_grad():
        model.output.bias[9] += 0.1
    runners = {name: Runner(*pair) for name, pair in graphs.items()}
    with pytest.raises(ExportRefused, match="score"):
        LanguageModelCheck(model, runners, TOLERANCE).run()
