from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from training.config import ClassificationRecipe, RecipeError, TranslationRecipe, load_recipe, parse_recipe

RECIPES = sorted((Path(__file__).parents[2] / "training" / "recipes").glob("*.toml"))
GOOD = {
    "name": "x",
    "task": "translate",
    "source": "es",
    "target": "en",
    "data": {"train": ["t"], "dev": ["d"]},
}


def are_apart(data: Mapping[str, Any]) -> bool:
    """Whether the parts of one file that are learned from, selected on and tested on have nothing in common."""
    parts = sorted(data[name] for name in ("train_part", "dev_part", "test_part") if data.get(name))
    return len(parts) > 1 and all(one[1] <= other[0] for one, other in pairwise(parts))


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_of_the_repository_loads(path: Path) -> None:
    recipe = load_recipe(path)
    assert recipe.name == path.stem
    data = recipe.data.model_dump()
    if not set(recipe.data.train).isdisjoint(recipe.data.dev):
        assert data.get("format") == "digits" or are_apart(data)
        assert data.get("format") in ("digits", "text") or data["train_part"][1] <= data["dev_part"][0]


def test_the_task_decides_what_a_recipe_may_say() -> None:
    assert isinstance(parse_recipe(GOOD), TranslationRecipe)
    labelled = {key: value for key, value in GOOD.items() if key != "target"}
    assert isinstance(parse_recipe(labelled | {"task": "classify"}), ClassificationRecipe)


def test_an_unknown_key_is_named_with_the_valid_ones() -> None:
    with pytest.raises(
        RecipeError, match=r"r\.toml: unknown key training\.lerning_rate; .*learning_rate, betas"
    ):
        parse_recipe(GOOD | {"training": {"lerning_rate": 1.0}}, "r.toml")


def test_an_unknown_key_deep_inside_is_named_with_the_valid_ones() -> None:
    with pytest.raises(
        RecipeError, match=r"unknown key model\.encoder\.depth; valid keys here: cell, layers"
    ):
        parse_recipe(GOOD | {"model": {"encoder": {"depth": 2}}})


def test_all_mistakes_are_told_at_once() -> None:
    with pytest.raises(RecipeError) as caught:
        parse_recipe(GOOD | {"sed": 1, "model": {"dropout": 1.5, "encoder": {"cell": "qrnn"}}})
    assert all(part in str(caught.value) for part in ("sed", "model.dropout", "model.encoder.cell", "'lstm'"))


def test_an_unknown_attention_is_answered_with_the_valid_ones() -> None:
    with pytest.raises(RecipeError, match="'none', 'luong', 'luong-dot', 'luong-concat' or 'bahdanau'"):
        parse_recipe(GOOD | {"model": {"decoder": {"attention": "transformer"}}})


def test_a_dot_product_of_two_sizes_is_refused_with_both() -> None:
    model = {"encoder": {"hidden": 100, "bidirectional": True}, "decoder": {"attention": "luong-dot"}}
    with pytest.raises(RecipeError, match=r"model: .*decoder\.hidden, 512, with the encoder's outputs, 200"):
        parse_recipe(GOOD | {"model": model})


def test_words_that_are_cut_another_way_each_time_are_not_counted() -> None:
    table = {"task": "classify", "model": {"word_counts": True}}
    labelled = {key: value for key, value in GOOD.items() if key != "target"} | table
    parse_recipe(labelled)
    with pytest.raises(RecipeError, match=r"word_counts wants texts that are always cut the same way"):
        parse_recipe(labelled | {"tokenizer": {"dropout": 0.1}})


@pytest.mark.parametrize(
    ("training", "told"),
    [
        ({"select": "rouge_2"}, r"'rouge_2'; this recipe has loss, bleu$"),
        ({"select": "bleu", "score_examples": 0}, r"'bleu', which wants score_examples above 0$"),
    ],
)
def test_a_score_that_is_not_told_is_not_selected_by(training: dict[str, Any], told: str) -> None:
    with pytest.raises(RecipeError, match=r"training\.select is " + told):
        parse_recipe(GOOD | {"training": training})


def test_only_losses_that_know_r_drop_are_asked_for_it() -> None:
    characters = {"name": "plays", "task": "generate", "source": "en", "data": {"train": ["a"], "dev": ["b"]}}
    parse_recipe(characters)
    with pytest.raises(RecipeError, match=r"r_drop is for recipes that label texts or .*, not generate"):
        parse_recipe(characters | {"training": {"r_drop": 1.0}})


def test_an_unknown_task_is_answered_with_the_valid_ones() -> None:
    with pytest.raises(RecipeError, match="task is 'sing'; valid tasks: translate, classify"):
        parse_recipe(GOOD | {"task": "sing"})


@pytest.mark.parametrize("content", [b"name = ", b"\xff\xfe"])
def test_a_file_that_is_not_toml_is_said_to_be_none(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "r.toml"
    path.write_bytes(content)
    with pytest.raises(RecipeError, match="is not TOML"):
        load_recipe(path)


def test_a_missing_file_is_an_error_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"none\.toml: cannot be read"):
        load_recipe(tmp_path / "none.toml")


BAHDANAU = {"first_state": "zero", "attention": "bahdanau"}


def test_writing_while_the_source_comes_in_wants_a_model_that_can() -> None:
    with pytest.raises(
        RecipeError, match=r'wants encoder.bidirectional = false, decoder.first_state = "zero"'
    ):
        parse_recipe(GOOD | {"simultaneous": {}} | {"model": {"encoder": {"bidirectional": True}}})
    with pytest.raises(RecipeError, match="wants a luong attention"):
        parse_recipe(GOOD | {"simultaneous": {}} | {"model": {"decoder": BAHDANAU}})
    with pytest.raises(RecipeError, match="from the shortest to the longest"):
        parse_recipe(GOOD | {"simultaneous": {}} | {"simultaneous": {"waits": [3, 2]}})
