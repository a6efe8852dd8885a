from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from service.cli.checks import selftest
from service.cli.checks.selftest import tried
from service.tasks.classify import Classification
from service.tasks.said import LabelScore
from tests.bundles import (
    write_captioner,
    write_deleter,
    write_hearer,
    write_predictor,
    write_summarizer,
    write_tagger,
)
from tests.fakes.real_served import real_served
from tests.fakes.toy_bundles import write_toy_classifier, write_toy_translator
from tests.fakes.toy_server import engine_of, toy_served


def test_a_model_s_answer_is_shown_with_its_times(tmp_path: Path) -> None:
    with toy_served(write_toy_translator(tmp_path)) as served:
        found = tried("toy", served)
    assert (found.level, found.facts["bit_equal"]) == ("ok", True)
    assert found.facts["first_ms"] > 0


@pytest.mark.parametrize(
    "write",
    [
        write_tagger,
        write_deleter,
        write_summarizer,
        write_hearer,
        write_predictor,
        partial(write_predictor, labels=True),
        write_captioner,
    ],
)
def test_models_of_every_task_are_tried(tmp_path: Path, write: Callable[[Path], Path]) -> None:
    with real_served(write(tmp_path)) as served:
        found = tried("toy", served)
    assert (found.level, found.facts["bit_equal"]) == ("ok", True)


def test_a_model_that_answers_otherwise_in_a_batch_is_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def mixed(served: Any, texts: Sequence[Any]) -> list[Classification]:
        return [Classification((LabelScore("play", 1 - 1e-16 * len(texts)),), 1) for _ in texts]

    monkeypatch.setattr(selftest, "_answers", mixed)
    with toy_served(write_toy_classifier(tmp_path)) as served:
        found = tried("toy", served)
    assert (found.level, found.facts["bit_equal"]) == ("problem", False)
    assert "alone" in found.text


def test_a_model_that_never_answers_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selftest, "PATIENCE_S", 0.05)
    with toy_served(write_toy_classifier(tmp_path)) as served:
        engine_of(served).hold()
        found = tried("toy", served)
    assert found.level == "problem"
    assert found.advice
