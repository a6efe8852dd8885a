"""Files that hold a secret: read only where nobody else can read them."""

import os
import stat
from pathlib import Path

from service.errors import ConfigRefused

MAX_BYTES = 64 * 1024


def read_secret(path: Path, what: str, max_bytes: int = MAX_BYTES) -> bytes:
    """The bytes of a file that others may not read, nor the group write; ConfigRefused, without a byte of it."""
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            data = file.read(max_bytes + 1)
    except OSError as error:
        raise ConfigRefused(f"cannot read the {what} {path}: {error.strerror}") from None
    if mode & (stat.S_IRWXO | stat.S_IWGRP):
        raise ConfigRefused(f"the {what} {path} has mode {mode:04o}; it must be 0600, or 0640 at most")
    if len(data) > max_bytes:
        raise ConfigRefused(f"the {what} {path} has more than {max_bytes} bytes: it is something else")
    return data
