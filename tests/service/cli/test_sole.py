"""Which model a session is opened with, where none is named."""

import tomllib
from types import SimpleNamespace
from typing import Any

import pytest

from service.cli.sole import ONE_WAY, sole_model
from service.cli.stop import Stop
from tests.service.cli.process import ROOT


def client(*models: tuple[str, bool]) -> Any:
    """One that serves these: name, and whether it can be fed piece by piece."""
    found = [SimpleNamespace(name=name, streams=streams) for name, streams in models]
    return SimpleNamespace(models=lambda task: found)


def test_it_is_the_only_one_that_can_be_fed_piece_by_piece() -> None:
    assert sole_model(client(("a", False), ("b", True), ("b", True)), "tag") == "b"


@pytest.mark.parametrize(
    ("models", "says"),
    [
        ([], "see: seqserve models"),
        ([("a", False), ("b", False)], "a, b: whole input only.; leave --live out"),
        ([("a", False)], "snips-slots-live"),
        ([("a", True), ("b", True)], "choose one with --model: a, b"),
    ],
)
def test_where_there_is_none_or_several_it_says_what_to_do(models: list[tuple[str, bool]], says: str) -> None:
    with pytest.raises(Stop, match=says):
        sole_model(client(*models), "tag")


@pytest.mark.parametrize(("task", "recipe"), ONE_WAY.items())
def test_a_recipe_that_is_named_makes_a_one_way_model_of_the_task(task: str, recipe: str) -> None:
    told = tomllib.loads((ROOT / "training" / "recipes" / f"{recipe}.toml").read_text())
    assert told["task"] == task
    assert not told.get("encoder", {}).get("bidirectional", False)
