"""Which model a session is opened with: a session knows no tasks to choose by, so the command looks first."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from service.cli.stop import Stop

if TYPE_CHECKING:
    from service.client import Client, Model

ALSO = {"chat": "generate"}
"""Task → another one whose models can do what its command wants."""


ONE_WAY = {"classify": "snips-intents", "tag": "snips-slots-live"}
"""Task → a recipe of a model that can be fed piece by piece."""


def sole_model(client: "Client", task: str, model: str = "") -> str:
    """The model asked for, or the only one of the task; Stop where it cannot do that piece by piece."""
    if model:
        asked = client.model(model)
        check_task(asked, task)
        if not asked.streams:
            raise Stop(f"{asked.name} cannot be fed in a session: {asked.why_not_streaming}")
        return model
    able = client.models(task)
    names = sorted({one.name for one in able if one.streams})
    if len(names) == 1:
        return names[0]
    if names:
        raise Stop(f"several models can do this; choose one with --model: {', '.join(names)}")
    raise Stop(_none(task, able))


def _none(task: str, able: "Sequence[Model]") -> str:
    """Why no model of the task can be fed piece by piece, and what to do."""
    none = f"no model of task {task} that can be fed piece by piece is served there"
    if not able:
        return f"{none}; see: seqserve models"
    recipe = f", such as the recipe {ONE_WAY[task]} makes" if task in ONE_WAY else ""
    names = ", ".join(sorted({one.name for one in able}))
    return f"{none} ({names}: whole input only); leave --live out, or serve a one-way model{recipe} (docs/tasks.md)"


def check_task(model: "Model", task: str) -> None:
    """Stop where the model is for something else."""
    if model.task not in (task, ALSO.get(task)):
        raise Stop(
            f"{model.name} is a model of task {model.task}; this command wants task {task}: "
            f"seqserve models --task {task}"
        )
