"""Ends an example with a sentence, not a traceback: no server, its model not served, a file that cannot be read."""

import sys
import wave
from collections.abc import Iterator
from contextlib import contextmanager

from service.client.errors import ClientError, ModelNotFound


@contextmanager
def plainly(what_to_do: str = "") -> Iterator[None]:
    """Say what the server says, and after it what to do where a model is missing."""
    try:
        yield
    except ModelNotFound as missing:
        sys.exit(f"{missing}\n{what_to_do}".rstrip())
    except ClientError as error:
        sys.exit(str(error))
    except (FileNotFoundError, IsADirectoryError, PermissionError) as error:
        sys.exit(f"{error.filename}: {error.strerror}")
    except wave.Error as error:
        sys.exit(f"no recording (WAV) that can be read: {error}")
