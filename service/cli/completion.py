"""What the shell offers where the name of a model belongs: those of the server, or else of the folder `models`."""

import os
from pathlib import Path

import typer

DEFAULT_ADDRESS = "127.0.0.1:50051"
PATIENCE_S = 2.0
"""Whoever presses Tab waits no longer for the server; where none listens, he does not wait."""


def model_names(context: typer.Context) -> list[str]:
    """All names; typer offers those that go on as was typed. Never raises: what cannot be found is not offered."""
    address = context.params.get("address") or os.environ.get("SEQSERVE_ADDRESS") or DEFAULT_ADDRESS
    return sorted(_served(address) or _on_disk())


def _served(address: str) -> set[str]:
    from service.client import Client

    try:
        with Client(address, timeout=PATIENCE_S, max_attempts=1) as client:
            return {model.name for model in client.models()}
    except Exception:  # the shell would show it in the middle of the line
        return set()


def _on_disk() -> set[str]:
    repository = Path(os.environ.get("SEQSERVE_MODELS__REPOSITORY", "models"))
    return {path.parts[-3] for path in repository.glob("*/*/manifest.json")}
