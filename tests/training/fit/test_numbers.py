"""A task of numbers, with nothing of text in it, goes through the loop as the others do: the sum so far is wanted."""

import json
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from training.config import DataSection, Recipe, Section
from training.config.recipes import RECIPES
from training.data.batches import Batch, Example, Plan, plan_epoch
from training.data.vocabulary import Vocabulary
from training.fit import checkpoints
from training.fit.tasks import TASKS
from training.fit.tasks.base import Objective, Task
from training.fit.train import train

RECIPE = """
name = "sums"
task = "sum"
data = { train = ["none"], dev = ["none"] }
[training]
batch_tokens = 64
learning_rate = 1e-2
warmup_steps = 5
max_epochs = 3
bf16 = false
"""


class SumRecipe(Recipe):
    task: Literal["sum"]
    data: DataSection
    model: Section = Section()


class SumObjective(Objective[nn.GRU]):
    def forward(self, batch: Batch) -> Tensor:
        outputs, _ = self.model(batch.source)
        real = torch.arange(batch.source.shape[1]) < batch.lengths[:, None]
        loss: Tensor = ((outputs - batch.target) ** 2)[real].sum()
        return loss

    def count(self, batch: Batch) -> int:
        return int(batch.lengths.sum())


class Sum(Task[SumRecipe, nn.GRU]):
    def __init__(self, recipe: SumRecipe, root: Path, given: Vocabulary) -> None:
        super().__init__(recipe, root, given)
        dice = np.random.default_rng(0)
        series = [dice.uniform(-0.1, 0.1, (length, 1)).astype(np.float32) for length in range(3, 60)]
        self.vocabulary = Vocabulary()
        self.train = self.dev = [Example(values, values.cumsum(0)) for values in series]

    def objective(self) -> SumObjective:
        return SumObjective(nn.GRU(1, 1, batch_first=True))

    def plan(self, epoch: int) -> Plan:
        return plan_epoch(self.train, 200, self._recipe.seed, epoch, grain=8)

    def scores(self, model: nn.GRU, device: torch.device) -> dict[str, float]:
        assert not model.training
        assert not torch.is_grad_enabled()
        return {"weights": 1.0}


def test_a_task_without_text_trains_and_leaves_its_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(RECIPES, "sum", SumRecipe)
    monkeypatch.setitem(TASKS, "sum", Sum)
    (tmp_path / "sums.toml").write_text(RECIPE)
    assert train(tmp_path / "sums.toml", tmp_path, tmp_path / "out")
    log = [json.loads(line) for line in (tmp_path / "out" / "log.jsonl").read_text().splitlines()]
    assert log[-1]["loss"] < log[0]["loss"]
    assert log[-1]["weights"] == 1
    assert "weight_ih_l0" in checkpoints.load(tmp_path / "out" / "averaged.pt")["model"]
    assert not (tmp_path / "out" / "tokenizer.json").exists()
