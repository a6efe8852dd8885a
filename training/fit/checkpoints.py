"""Checkpoints on disk: a file is there whole or not at all."""

import io
import os
from pathlib import Path
from typing import Any

import torch

from service.errors import SeqserveError


class CheckpointError(SeqserveError):
    """A checkpoint that could not be written or read; what stood there before is untouched."""


def make_folder(path: Path) -> None:
    """Makes a folder and those above it, unless they are there."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be made a folder: {error.strerror}") from error


def write_bytes(path: Path, content: bytes) -> None:
    """Writes beside `path`, syncs, renames: after a crash or on a full disk the old file is still whole."""
    temporary = path.with_name(f".{path.name}.part")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise CheckpointError(
            f"{path}: cannot be written: {error.strerror}; the last one is unharmed"
        ) from error


def save(path: Path, content: dict[str, Any]) -> None:
    """Writes a checkpoint of tensors and plain values."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    write_bytes(path, buffer.getvalue())


def load(path: Path) -> dict[str, Any]:
    """Reads a checkpoint onto the CPU; runs no code from the file."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises whatever its readers raise
        raise CheckpointError(f"{path}: is not a checkpoint: {error}") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: is not a checkpoint: expected a dict")
    return content


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
