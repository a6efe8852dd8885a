"""Folders in memory for readers that want files."""

import atexit
import tempfile
from pathlib import Path

SHARED_MEMORY = Path("/dev/shm")


def new_folder() -> Path:
    """An empty folder that is gone with this process."""
    parent = SHARED_MEMORY if SHARED_MEMORY.is_dir() else None
    folder = tempfile.TemporaryDirectory(prefix="fuzz-", dir=parent)
    atexit.register(folder.cleanup)
    return Path(folder.name)


def put(path: Path, data: bytes) -> Path:
    """Write a file that only its owner may read."""
    path.touch(mode=0o600)
    path.write_bytes(data)
    return path
