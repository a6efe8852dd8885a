"""The line between the parent and a worker: JSON objects, one a line. Its end is the other's death."""

import json
import socket
from typing import Any, Self

Message = dict[str, Any]

MAX_READ_BYTES = 65536
SEND_WITHIN_S = 5.0
"""Who does not read for so long is given up: the parent must not wait for a worker that hangs."""


class Line:
    """One end. Messages come in the order in which they were sent."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._end.settimeout(SEND_WITHIN_S)
        self._unread = b""

    @classmethod
    def pair(cls) -> tuple[Self, Self]:
        ours, theirs = socket.socketpair()
        return cls(ours), cls(theirs)

    def fileno(self) -> int:
        return self._end.fileno()

    def say(self, what: str, **more: Any) -> None:
        """Nothing happens where nobody listens any more."""
        try:
            self._end.sendall(json.dumps({"say": what, **more}).encode() + b"\n")
        except OSError:
            return

    def hear(self) -> list[Message] | None:
        """What has come, waiting for some; None when the other side is gone."""
        try:
            came = self._end.recv(MAX_READ_BYTES)
        except TimeoutError:
            return []
        except OSError:
            came = b""
        if not came:
            return None
        *whole, self._unread = (self._unread + came).split(b"\n")
        return [json.loads(line) for line in whole]

    def close(self) -> None:
        self._end.close()
