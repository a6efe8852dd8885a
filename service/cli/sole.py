"""Which model a session is opened with where none was named: a session knows no tasks to choose by."""

from typing import TYPE_CHECKING

from service.cli.stop import Stop

if TYPE_CHECKING:
    from service.client import Client


def sole_model(client: "Client", task: str, model: str = "") -> str:
    """The model asked for, or the only one of the task that can be fed piece by piece."""
    if model:
        return model
    names = sorted({one.name for one in client.models(task) if one.streams})
    if len(names) == 1:
        return names[0]
    if names:
        raise Stop(f"several models can do this; choose one with --model: {', '.join(names)}")
    raise Stop(
        f"no model of task {task} that can be fed piece by piece is served there; see: seqserve models"
    )
