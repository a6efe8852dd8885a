from pathlib import Path

import pytest

from tests.training.toy import write_recipe
from training.config import RecipeError, load_recipe
from training.fit.folder import Folder


def open_folder(recipe: Path, out: Path) -> None:
    Folder(out, load_recipe(recipe)).open(recipe)


@pytest.mark.parametrize(
    ("part", "before", "after"),
    [
        ("source", 'source = "xx"', 'source = "zz"'),
        ("data", 'train = ["train.tsv"]', 'train = ["more.tsv"]'),
        ("tokenizer", "vocab_size = 40", "vocab_size = 50"),
        ("model", "embedding = 16", "embedding = 8"),
        ("training.select", "[training]", '[training]\nselect = "bleu"'),
    ],
)
def test_a_run_goes_on_only_with_what_it_was_begun_with(
    tmp_path: Path, part: str, before: str, after: str
) -> None:
    recipe = write_recipe(tmp_path)
    open_folder(recipe, tmp_path / "out")
    recipe.write_text(recipe.read_text().replace(before, after))
    with pytest.raises(RecipeError, match=f"holds a run with another {part}"):
        open_folder(recipe, tmp_path / "out")


def test_how_a_run_is_trained_and_named_may_change(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path)
    open_folder(recipe, tmp_path / "out")
    text = recipe.read_text().replace("learning_rate = 1e-2", "learning_rate = 1e-3")
    recipe.write_text(text.replace('name = "toy"', 'name = "other"'))
    open_folder(recipe, tmp_path / "out")
    assert (tmp_path / "out" / "recipe.toml").read_text() == recipe.read_text()
