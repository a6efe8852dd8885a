"""Every task stands in every table."""

from training.config import RECIPES
from training.export.tasks import EXPORTS
from training.fit.tasks import TASKS
from training.models.build import MODELS


def test_every_recipe_has_a_task_a_model_and_an_export() -> None:
    assert RECIPES.keys() == TASKS.keys() == MODELS.keys() == EXPORTS.keys()


def test_a_recipe_says_the_task_that_it_stands_for() -> None:
    for task, recipe in RECIPES.items():
        assert recipe.model_json_schema()["properties"]["task"]["const"] == task
