"""A worker: an ordinary server, in a process that the parent has forked, listening beside its siblings."""

import asyncio
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn

from service import interpreter, logs
from service.config import Settings
from service.endings import endings
from service.errors import SeqserveError
from service.workers.agreement import ANSWERED, FOLLOW, Agreed
from service.workers.line import Line, Message

if TYPE_CHECKING:
    from service.server import Server
    from service.sessions.changes import Changes

OnStart = Callable[["Server"], None]

LOADED, LISTEN, DRAIN, TURN_OUT, REFUSED, LISTENS = (
    "loaded",
    "listen",
    "drain",
    "turn out",
    "refused",
    "listens",
)
"""What parent and worker say to each other."""
FAILED = 1


def work(
    settings: Settings, index: int, line: Line, agreed: Agreed | None, on_start: OnStart | None
) -> NoReturn:
    """Serve until the parent says that it is over, or is gone. Ends the process, and nothing of the parent's in it.

    `agreed` is what its siblings serve; None where it is one of the first.
    """
    code = FAILED
    try:
        code = _served(settings, index, line, agreed, on_start)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _served(
    settings: Settings, index: int, line: Line, agreed: Agreed | None, on_start: OnStart | None
) -> int:
    logs.configure(settings.log.level, settings.log.format, texts=settings.log.texts)
    logs.belongs_to(worker=str(index))
    orders = _Orders(line)
    try:
        interpreter.prepare()
        asyncio.run(_serve(settings, orders, line, agreed, on_start))
    except SeqserveError as refused:
        line.say(REFUSED, why=str(refused))
        return FAILED
    return 0


async def _serve(
    settings: Settings, orders: "_Orders", line: Line, agreed: Agreed | None, on_start: OnStart | None
) -> None:
    """A signal to one worker drains it, however often it comes: others may send the parent's own to all of them."""
    from service.server import Server  # not in the parent: it has neither gRPC nor ONNX Runtime
    from service.workers.spread import Spread

    def spread(changes: "Changes") -> Spread:
        return Spread(changes, line, settings.server.unload_deadline_s)

    server, loop = Server(settings, settle=interpreter.settle, spread=spread), asyncio.get_running_loop()
    changes = server.changes
    assert isinstance(changes, Spread)
    orders.reach(
        loop,
        {
            TURN_OUT: lambda _: server.turn_out(),
            FOLLOW: changes.follow,
            ANSWERED: changes.answered,
        },
    )
    for number in endings():
        loop.add_signal_handler(number, orders.drain.set)
    await server.load({*agreed.served, *agreed.retired} if agreed else None)
    await changes.agree(agreed)
    line.say(LOADED, models=sorted(server.registry.labels()))
    await orders.either()
    if orders.drain.is_set():
        return
    await server.listen()
    line.say(LISTENS)
    if on_start is not None:
        on_start(server)
    await orders.drain.wait()
    await server.drain()


class _Orders:
    """What the parent says. When it says nothing more it has died, and so does this process, at once."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._loop: asyncio.AbstractEventLoop | None = None
        self._reachable = threading.Event()
        self.listen, self.drain = asyncio.Event(), asyncio.Event()
        threading.Thread(target=self._hear, name="parent", daemon=True).start()

    def reach(self, loop: asyncio.AbstractEventLoop, more: Mapping[str, Callable[[Message], None]]) -> None:
        """From now on orders are followed: to listen, to drain, and more."""
        self._loop = loop
        self._do = {LISTEN: lambda _: self.listen.set(), DRAIN: lambda _: self.drain.set(), **more}
        self._reachable.set()

    async def either(self) -> None:
        """Until the parent says to listen, or that it is over."""
        waits = [asyncio.create_task(event.wait()) for event in (self.listen, self.drain)]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for one in waits:
            one.cancel()

    def _hear(self) -> None:
        while (messages := self._line.hear()) is not None:
            for message in messages:
                self._reachable.wait()
                assert self._loop is not None
                with suppress(RuntimeError):  # it is over already
                    self._loop.call_soon_threadsafe(self._do[message["say"]], message)
        os.kill(os.getpid(), signal.SIGKILL)
