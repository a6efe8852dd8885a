"""Ends an example with a sentence, and no traceback, where no server answers or its model is not served."""

import sys
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
