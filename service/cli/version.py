"""`seqserve version`."""

from importlib.metadata import PackageNotFoundError, version

import typer


def print_version() -> None:
    """Print the version."""
    typer.echo(f"seqserve {number()}")


def number() -> str:
    """The installed version; a checkout that only lies on the path has none."""
    try:
        return version("seqserve")
    except PackageNotFoundError:
        return "(not installed)"
