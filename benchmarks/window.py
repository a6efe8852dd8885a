"""What clients hear within a stretch of time, with what the server counted and spent in it."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.counters import Counters
from benchmarks.figures import quantile
from benchmarks.processes import Running, own_cpu_s

RAMP_S = 0.4
"""How long clients run before it counts."""
PATIENCE_S = 60.0
"""How long a window in which nothing is heard is kept open."""
LOOK_S = 0.01
"""From look to look for the first thing heard."""


@dataclass
class Window:
    """Open for a while; what is noted before and after is dropped."""

    over: bool = False
    """Clients begin nothing new."""
    num_tokens: int = 0
    first_s: list[float] = field(default_factory=list)
    """From request to first token, or to the whole answer where it comes whole."""
    between_s: list[float] = field(default_factory=list)
    """From token to token of a stream; from feed to answer of a session."""
    open: bool = False

    def first(self, since: float) -> float:
        """Note a first token asked for at `since`; the time now."""
        now = time.perf_counter()
        if self.open:
            self.first_s.append(now - since)
            self.num_tokens += 1
        return now

    def next(self, since: float) -> float:
        """Note another token, the one before having come at `since`; the time now."""
        now = time.perf_counter()
        if self.open:
            self.between_s.append(now - since)
            self.num_tokens += 1
        return now

    def whole(self, since: float, num_tokens: int) -> None:
        """Note a whole answer."""
        if self.open:
            self.first_s.append(time.perf_counter() - since)
            self.num_tokens += num_tokens


Client = Callable[[Window], Coroutine[Any, Any, None]]
"""One client: works until the window is over."""


@dataclass(frozen=True, slots=True)
class Round:
    """One window."""

    seconds: float
    num_tokens: int
    first_s: Sequence[float]
    between_s: Sequence[float]
    server_cpu_s: float
    client_cpu_s: float
    counted: Counters

    @property
    def tokens_per_s(self) -> float:
        return self.num_tokens / self.seconds

    @property
    def server_us(self) -> float:
        """Processor time of the server for a token."""
        return 1e6 * self.server_cpu_s / max(self.num_tokens, 1)

    @property
    def client_us(self) -> float:
        """Processor time of the clients for a token."""
        return 1e6 * self.client_cpu_s / max(self.num_tokens, 1)

    def first_ms(self, share: float) -> float:
        return 1e3 * quantile(self.first_s, share)

    def between_ms(self, share: float) -> float:
        return 1e3 * quantile(self.between_s, share)


async def observe(server: Running, clients: Sequence[Client], seconds: float) -> Round:
    """Run the clients and look at them for `seconds`, once they are under way, and on until something is heard.

    Raises RuntimeError where nothing is for a minute more.
    """
    window = Window()
    tasks = [asyncio.ensure_future(client(window)) for client in clients]
    await _still_running(tasks, RAMP_S)
    before = await asyncio.to_thread(Counters.read, server.metrics)
    cpu, own, began, window.open = server.cpu_s(), own_cpu_s(), time.perf_counter(), True
    await _still_running(tasks, seconds)
    await _heard(window, tasks)
    window.open, window.over = False, True
    spent, own, took = server.cpu_s() - cpu, own_cpu_s() - own, time.perf_counter() - began
    after = await asyncio.to_thread(Counters.read, server.metrics)
    await asyncio.gather(*tasks)
    return Round(took, window.num_tokens, window.first_s, window.between_s, spent, own, after.since(before))


async def _still_running(tasks: "Sequence[asyncio.Future[None]]", seconds: float) -> None:
    """Wait; a client that fails ends the measurement."""
    done, _ = await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_EXCEPTION)
    for task in done:
        task.result()


async def _heard(window: Window, tasks: "Sequence[asyncio.Future[None]]") -> None:
    """Wait for the first thing heard: a rate of nothing is none to divide by."""
    until = time.perf_counter() + PATIENCE_S
    while not window.num_tokens:
        if time.perf_counter() > until or all(task.done() for task in tasks):
            raise RuntimeError(f"nothing was answered to {len(tasks)} client(s)")
        await _still_running(tasks, LOOK_S)
