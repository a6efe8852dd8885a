"""As `service.client.sync_patience`, for asyncio."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from service.client.channel import open_channel
from service.client.errors import Overloaded
from service.client.gate import Attempts, Gate
from service.client.throttle import Slot


class AsyncPatientChannel:
    """It makes calls, and nothing else."""

    def __init__(self, channel: Any, gate: Gate) -> None:
        self._channel = channel
        self._gate = gate

    def unary_unary(self, *args: Any, **kwargs: Any) -> Any:
        method = self._channel.unary_unary(*args, **kwargs)

        async def ask(request: Any, **options: Any) -> Any:
            call = _Patient(method, self._gate, request, options)
            while True:
                try:
                    with self._gate.call(call.slot):
                        return await call.begun()
                except Overloaded as error:
                    await call.again(error)

        return ask

    def unary_stream(self, *args: Any, **kwargs: Any) -> Any:
        method, gate = self._channel.unary_stream(*args, **kwargs), self._gate
        return lambda request, **options: AsyncPatientStream(method, gate, request, options)

    def stream_stream(self, *args: Any, **kwargs: Any) -> Any:
        return self._channel.stream_stream(*args, **kwargs)


class _Patient:
    """One call, and what is needed to make it again. It begins at once, unless it is held back."""

    def __init__(self, method: Any, gate: Gate, request: Any, options: dict[str, Any]) -> None:
        self._method = method
        self._gate = gate
        self._request = request
        self._options = options
        self._attempts = Attempts(gate.max_attempts, options.get("timeout"), asyncio.get_running_loop().time)
        self._left = False
        self._call: Any = None
        self._held: Overloaded | None = None
        self.slot: Slot | None = None
        self._begin()

    def _begin(self) -> None:
        self._call = self.slot = self._held = None
        try:
            self.slot = self._gate.slot()
        except Overloaded as error:
            self._held = error
            return
        with open_channel():
            self._call = self._method(self._request, **self._options | {"timeout": self._attempts.left_s})

    def begun(self) -> Any:
        """The call; Overloaded where there is none yet."""
        if self._held is not None:
            raise self._held
        return self._call

    async def again(self, error: Overloaded) -> None:
        """Make the call again, in a while."""
        await asyncio.sleep(self._attempts.wait_s(error))
        if self._left:
            raise asyncio.CancelledError  # as gRPC does
        self._begin()

    def cancel(self) -> None:
        self._left = True
        if self._call is not None:
            self._call.cancel()


class AsyncPatientStream(_Patient):
    """The answers; whoever reads them makes the call again, as long as there was none."""

    async def __aiter__(self) -> AsyncIterator[Any]:
        is_heard = False
        while True:
            try:
                with self._gate.call(self.slot):
                    async for message in self.begun():
                        is_heard = True
                        yield message
                    return
            except Overloaded as error:
                if is_heard:
                    raise
                await self.again(error)
