"""Values that come from files and follow them while the server runs."""

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, TypeVar

import structlog

from service.errors import ConfigRefused

T = TypeVar("T")

Stamp = tuple[tuple[int, int, int], ...]
"""Inode, size and time of change of each file."""

log = structlog.get_logger("seqserve.files")


class Watched(Generic[T]):
    """What some files say. Where they change to something that is refused, what they said before holds on.

    Safe to use from several threads.
    """

    def __init__(self, what: str, files: Sequence[Path], read: Callable[[], T]) -> None:
        """Read the files; ConfigRefused says what is wrong with them."""
        self._what = what
        self._files = files
        self._read = read
        self._lock = threading.Lock()
        self._seen: Stamp = self._stamp()
        self._refused: Stamp = ()
        self.value = read()
        self.generation = 0
        """How often the value has changed."""
        self.trouble = ""
        """Why the files, as they are now, were left alone; empty where they were not."""

    def look(self) -> bool:
        """Look at the files; whether the value has changed. Raises nothing; a refusal is logged once."""
        with self._lock:
            stamp: Stamp = ()
            try:
                stamp = self._stamp()
                if stamp == self._seen:
                    self.trouble, self._refused = "", ()
                    return False
                self.value = self._read()
            except (ConfigRefused, OSError) as error:
                if stamp != self._refused or str(error) != self.trouble:
                    log.error(
                        "a file was left alone: what it said before holds", what=self._what, why=str(error)
                    )
                self._refused, self.trouble = stamp, str(error)
                return False
            self._seen, self.trouble = stamp, ""
            self.generation += 1
        log.info("a file has changed and was taken up", what=self._what)
        return True

    def _stamp(self) -> Stamp:
        try:
            found = [file.stat() for file in self._files]
        except OSError as error:
            raise ConfigRefused(f"cannot read {error.filename}: {error.strerror}") from None
        return tuple((one.st_ino, one.st_size, one.st_mtime_ns) for one in found)


class Pace:
    """Says when the next look is due: at most one each so many seconds."""

    def __init__(self, every_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._every_s = every_s
        self._clock = clock
        self._next = clock() + every_s

    def is_due(self) -> bool:
        now = self._clock()
        if now < self._next:
            return False
        self._next = now + self._every_s
        return True
