"""`seqserve train` and `export`: handed on to `training.cli`, which needs the extra `train`."""

import typer

from service.cli.stop import Stop

EVERYTHING = {"allow_extra_args": True, "ignore_unknown_options": True}
"""All arguments are training's affair, `--help` too."""

EXTRA = {"torch", "onnx", "sacrebleu", "tensorboard", "training"}
"""What the extra `train` brings; serving works without."""


def train(context: typer.Context) -> None:
    """Train a model from a recipe."""
    hand_on("train", context.args)


def export(context: typer.Context) -> None:
    """Write a trained model as a bundle that can be served."""
    hand_on("export", context.args)


COMMANDS = {"train": train, "export": export}


def hand_on(name: str, arguments: list[str]) -> None:
    try:
        from training.cli import app

        code = app(args=[name, *arguments], prog_name="seqserve", standalone_mode=False)
    except ModuleNotFoundError as error:
        raise explained(error) from None
    raise typer.Exit(code if isinstance(code, int) else 0)


def explained(error: ModuleNotFoundError) -> Exception:
    """What to install, where it is only that."""
    missing = (error.name or "").partition(".")[0]
    if missing not in EXTRA:
        return error
    return Stop(
        f"this needs {missing}, which serving does without; install it: pip install 'seqserve[train]'"
    )
