"""What eight bits lose on dev is measured, told, and past the recipe's bound refused."""

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.bundles import LABELS, SENTENCES
from training.config import TokenizerSection, parse_recipe
from training.data.tokenizers import learn_tokenizer
from training.data.vocabulary import Vocabulary
from training.export.arithmetic import ARITHMETICS
from training.export.bundle import write_bundle
from training.export.check import ExportRefused, Runner
from training.export.dev import Dev
from training.export.loss import measure
from training.export.run import Run
from training.export.tasks import export_of
from training.models.build import build

TRANSLATE = {
    "name": "toy-es-en",
    "task": "translate",
    "source": "es",
    "target": "en",
    "data": {"columns": ["es", "en"], "train": ["none"], "dev": ["dev.tsv"]},
    "model": {"embedding": 32, "encoder": {"hidden": 24, "bidirectional": True}, "decoder": {"hidden": 40}},
}
CLASSIFY = {
    "name": "toy-intents",
    "task": "classify",
    "source": "en",
    "data": {"train": ["none"], "dev": ["dev.tsv"]},
    "model": {"embedding": 32, "encoder": {"hidden": 24}},
}


def random_run(
    recipe: dict[str, Any], labels: tuple[str, ...] = (), seed: int = 0, **export: Any
) -> Run[Any, Any]:
    checked = parse_recipe(recipe | {"export": export})
    vocabulary = Vocabulary(learn_tokenizer(SENTENCES * 3, TokenizerSection()), labels)
    torch.manual_seed(seed)
    net = build(checked, vocabulary)
    for weight in net.parameters():
        weight.data.mul_(2)
    return Run(checked, net.eval(), vocabulary)


def runners(run: Run[Any, Any], precision: str) -> dict[str, Runner]:
    graphs = export_of(run).graphs(ARITHMETICS[precision]())
    return {name: Runner(*pair) for name, pair in graphs.items()}


def test_graphs_that_translate_as_well_lose_nothing() -> None:
    run = random_run(TRANSLATE)
    same = runners(run, "fp32")
    dev = Dev(list(SENTENCES), list(SENTENCES))
    assert measure(export_of(run), dev, same, same).lost == 0


def test_graphs_that_translate_worse_are_refused() -> None:
    run, other = random_run(TRANSLATE), random_run(TRANSLATE, seed=1)
    good = runners(run, "fp32")
    first = measure(export_of(run), Dev(list(SENTENCES), list(SENTENCES)), good, good)
    dev = Dev(list(SENTENCES), list(first.answers))
    loss = measure(export_of(run), dev, good, runners(other, "fp32"))
    assert loss.fp32 == pytest.approx(100)
    assert loss.int8 < 50
    with pytest.raises(ExportRefused, match=r"100\.00 in fp32.*max_loss allows 0\.1"):
        loss.require_at_most(0.1)


def test_a_loss_at_the_bound_is_allowed() -> None:
    run = random_run(TRANSLATE)
    same = runners(run, "fp32")
    loss = measure(export_of(run), Dev(list(SENTENCES), list(SENTENCES)), same, same)
    loss.require_at_most(0)


def test_an_export_with_data_tells_the_loss_and_one_without_says_so(tmp_path: Path) -> None:
    lines = [f"{label}\t{text}\n" for label, text in zip((*LABELS, LABELS[0]), SENTENCES, strict=True)]
    (tmp_path / "dev.tsv").write_text("".join(lines), "utf-8")
    run = random_run(CLASSIFY, LABELS, max_loss=100)
    told: list[str] = []
    write_bundle(run, tmp_path / "measured", told.append, export_of(run).dev(tmp_path))
    assert any(line.startswith("accuracy on 4 examples of dev: ") for line in told)
    told.clear()
    write_bundle(run, tmp_path / "unmeasured", told.append)
    assert any("not measured" in line for line in told)


def test_dev_examples_are_taken_evenly_up_to_the_bound(tmp_path: Path) -> None:
    (tmp_path / "dev.tsv").write_text("".join(f"{n}\t{n}\n" for n in range(10)), "utf-8")
    run = random_run(TRANSLATE, gate_examples=4)
    assert export_of(run).dev(tmp_path).inputs == ["0", "3", "6", "9"]
