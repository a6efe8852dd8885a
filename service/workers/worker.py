"""A worker: an ordinary server, in a process that the parent has forked, listening beside its siblings."""

import asyncio
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING, NoReturn

from service import interpreter, logs
from service.config import Settings
from service.errors import SeqserveError
from service.workers.line import Line

if TYPE_CHECKING:
    from service.server import Server

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


def work(settings: Settings, index: int, line: Line, on_start: OnStart | None) -> NoReturn:
    """Serve until the parent says that it is over, or is gone. Ends the process, and nothing of the parent's in it."""
    code = FAILED
    try:
        code = _served(settings, index, line, on_start)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _served(settings: Settings, index: int, line: Line, on_start: OnStart | None) -> int:
    logs.configure(settings.log.level, settings.log.format, texts=settings.log.texts)
    logs.belongs_to(worker=str(index))
    orders = _Orders(line)
    try:
        from service.server import Server  # not in the parent: it has neither gRPC nor ONNX Runtime

        interpreter.prepare()
        asyncio.run(_serve(Server(settings, settle=interpreter.settle), orders, line, on_start))
    except SeqserveError as refused:
        line.say(REFUSED, why=str(refused))
        return FAILED
    return 0


async def _serve(server: "Server", orders: "_Orders", line: Line, on_start: OnStart | None) -> None:
    """A signal to one worker drains it, however often it comes: others may send the parent's own to all of them."""
    loop = asyncio.get_running_loop()
    orders.reach(loop, server.turn_out)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, orders.drain.set)
    await server.load()
    line.say(LOADED)
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

    def reach(self, loop: asyncio.AbstractEventLoop, turn_out: Callable[[], None]) -> None:
        """From now on orders are followed."""
        self._loop = loop
        self._do = {LISTEN: self.listen.set, DRAIN: self.drain.set, TURN_OUT: turn_out}
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
                self._loop.call_soon_threadsafe(self._do[message["say"]])
        os.kill(os.getpid(), signal.SIGKILL)
