"""A sync channel whose calls go through a gate, and are made again where they were turned away or held back there.

Only what the server has not begun is made again. A session's stream passes untouched: the session itself knows when.
"""

from collections.abc import Iterator
from threading import Event
from time import monotonic
from typing import Any

from service.client.channel import open_channel
from service.client.errors import Overloaded
from service.client.gate import Attempts, Gate
from service.client.throttle import Slot


class PatientChannel:
    """It makes calls, and nothing else."""

    def __init__(self, channel: Any, gate: Gate) -> None:
        self._channel = channel
        self._gate = gate

    def unary_unary(self, *args: Any, **kwargs: Any) -> Any:
        return _Asking(self._channel.unary_unary(*args, **kwargs), self._gate)

    def unary_stream(self, *args: Any, **kwargs: Any) -> Any:
        method, gate = self._channel.unary_stream(*args, **kwargs), self._gate
        return lambda request, **options: PatientStream(method, gate, request, options)

    def stream_stream(self, *args: Any, **kwargs: Any) -> Any:
        return self._channel.stream_stream(*args, **kwargs)


class _Asking:
    """A method with one answer."""

    def __init__(self, method: Any, gate: Gate) -> None:
        self._method = method
        self._gate = gate

    def __call__(self, request: Any, **options: Any) -> Any:
        return self.future(request, **options).result()

    def future(self, request: Any, **options: Any) -> "PatientFuture":
        return PatientFuture(self._method.future, self._gate, request, options)


class _Patient:
    """One call, and what is needed to make it again. It begins at once, unless it is held back."""

    def __init__(self, method: Any, gate: Gate, request: Any, options: dict[str, Any]) -> None:
        self._method = method
        self._gate = gate
        self._request = request
        self._options = options
        self._attempts = Attempts(gate.max_attempts, options.get("timeout"), monotonic)
        self._left = Event()
        self._call: Any = None
        self._slot: Slot | None = None
        self._held: Overloaded | None = None
        self._begin()

    def _begin(self) -> None:
        self._call = self._slot = self._held = None
        try:
            self._slot = self._gate.slot()
        except Overloaded as error:
            self._held = error
            return
        with open_channel():
            self._call = self._method(self._request, **self._options | {"timeout": self._attempts.left_s})

    def _begun(self) -> Any:
        """The call; Overloaded where there is none yet."""
        if self._held is not None:
            raise self._held
        return self._call

    def _again(self, error: Overloaded) -> None:
        """Make the call again, in a while."""
        self._left.wait(self._attempts.wait_s(error))
        if self._left.is_set():
            raise error
        self._begin()

    def cancel(self) -> None:
        self._left.set()
        if self._call is not None:
            self._call.cancel()


class PatientFuture(_Patient):
    """The answer; whoever waits for it makes the call again."""

    def result(self) -> Any:
        while True:
            try:
                with self._gate.call(self._slot):
                    return self._begun().result()
            except Overloaded as error:
                self._again(error)


class PatientStream(_Patient):
    """The answers; whoever reads them makes the call again, as long as there was none."""

    def __iter__(self) -> Iterator[Any]:
        is_heard = False
        while True:
            try:
                with self._gate.call(self._slot):
                    for message in self._begun():
                        is_heard = True
                        yield message
                    return
            except Overloaded as error:
                if is_heard:
                    raise
                self._again(error)
