"""All about the model that a command speaks to."""

from typing import TYPE_CHECKING

from service.cli.sole import check_task, sole_model
from service.cli.stop import Stop

if TYPE_CHECKING:
    from service.client import Client, Model


def streaming(client: "Client", task: str, name: str) -> "Model":
    """The model that is named, or the only one of the task that can be fed piece by piece."""
    return client.model(sole_model(client, task, name))


def only(client: "Client", task: str, name: str) -> "Model":
    """The model that is named, or the only one of the task."""
    if name:
        model = client.model(name)
        check_task(model, task)
        return model
    newest = {model.name: model for model in reversed(client.models(task))}
    if len(newest) == 1:
        return next(iter(newest.values()))
    if newest:
        raise Stop(f"several models can do this; choose one with --model: {', '.join(sorted(newest))}")
    raise Stop(f"no model of task {task} is served there; see: seqserve models")
