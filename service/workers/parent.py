"""The parent: starts the workers, passes signals on, starts again who died, and outlives all of them.

    fork ─▶ loading ─▶ loaded ─(when all are)─▶ listening ─▶ dead ─▶ fork

It holds the port, on which it does not listen, and the store, where none is set. It has one thread, since it forks.
"""

import os
import selectors
import signal
import socket
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import structlog

from service import logs
from service.config import Settings
from service.endings import endings
from service.errors import ConfigRefused
from service.ports import reserve
from service.workers.agreement import CHANGE, FOLLOWED, Agreement
from service.workers.line import Line, Message
from service.workers.share import check, share, with_store
from service.workers.worker import DRAIN, FAILED, LISTEN, LISTENS, LOADED, REFUSED, TURN_OUT, OnStart, work

QUICK_S = 10.0
"""Who dies sooner than that after it was begun has died at once."""
MAX_QUICK = 5
"""As many deaths at once, one after the other, and nobody left who serves: then there is no use in going on."""
FIRST_PAUSE_S, LAST_PAUSE_S = 0.1, 30.0
"""Before a worker is started again; twice as long after each death at once."""
LAST_WORDS_S = 10.0
"""After the grace period, until workers that are still there are killed."""
SHORTEST_S = 0.01
"""So that nobody who does not die keeps the parent busy."""

log = structlog.get_logger("seqserve.workers")


@dataclass
class Worker:
    """One process."""

    index: int
    pid: int
    line: Line
    begun: float
    loaded: bool = False
    told: bool = False
    """Told to listen: it may hold sessions."""
    listens: bool = False
    why: str = ""
    """Why it could not start, as it said itself."""

    @property
    def age_s(self) -> float:
        return time.monotonic() - self.begun


def supervise(settings: Settings, on_start: OnStart | None = None) -> int:
    """Serve by `server.workers` processes until a signal of `endings`; returns 0 where all ended well.

    `on_start` is called once, by the first worker, when it listens. ConfigRefused where they cannot start.
    """
    logs.configure(settings.log.level, settings.log.format, texts=settings.log.texts)
    check(settings)
    with with_store(settings) as shared, reserve(settings.server.host, settings.server.port) as port:
        return Parent(shared, port.getsockname()[1], on_start).run()


class Parent:
    """Keeps the workers running: `run`, once."""

    def __init__(self, settings: Settings, port: int, on_start: OnStart | None) -> None:
        self._settings = settings
        self._port = port
        self._on_start = on_start
        self._selector = selectors.DefaultSelector()
        self._workers: dict[int, Worker] = {}
        """By process id."""
        self._due: dict[int, float] = dict.fromkeys(range(settings.server.workers), 0.0)
        """Index → when it is to be started."""
        self._agreement = Agreement()
        self._endings = endings()
        self._ours = (*self._endings, signal.SIGCHLD)
        self._num_quick = 0
        self._all_were_loaded = False
        self._kill_at = float("inf")
        self._code = 0
        self._why = ""

    def run(self) -> int:
        with _signals(self._ours) as signals, self._selector:
            self._selector.register(signals, selectors.EVENT_READ)
            try:
                while self._workers or self._due:
                    self._start_due()
                    self._wait(signals)
                    self._bury()
                    self._let_listen()
            finally:
                self._kill(self._workers.values())
        if self._why:
            raise ConfigRefused(self._why)
        return self._code

    @property
    def _ending(self) -> bool:
        return self._kill_at < float("inf")

    def _start_due(self) -> None:
        for index, due in list(self._due.items()):
            if due <= time.monotonic():
                del self._due[index]
                self._start(index)

    def _start(self, index: int) -> None:
        ours, theirs = Line.pair()
        settings = share(self._settings, index, self._port)
        on_start, self._on_start = (self._on_start, None) if index == 0 else (None, self._on_start)
        signal.pthread_sigmask(signal.SIG_BLOCK, self._ours)
        pid = os.fork()
        if pid == 0:
            try:
                ours.close()
                self._forget_all()
                work(settings, index, theirs, self._agreement.now, on_start)
            finally:
                os._exit(FAILED)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, self._ours)
        theirs.close()
        self._workers[pid] = worker = Worker(index, pid, ours, time.monotonic())
        self._selector.register(ours, selectors.EVENT_READ, worker)

    def _forget_all(self) -> None:
        """In the worker: what is the parent's affair."""
        signal.set_wakeup_fd(-1)
        for number in self._ours:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, self._ours)
        for other in self._workers.values():
            other.line.close()
        self._selector.close()

    def _wait(self, signals: socket.socket) -> None:
        """Until something happens, or is due."""
        next_s = min((*self._due.values(), self._kill_at)) - time.monotonic()
        for key, _ in self._selector.select(None if next_s == float("inf") else max(SHORTEST_S, next_s)):
            if key.data is None:
                self._signalled(signals.recv(64))
            else:
                self._hear(key.data)
        if time.monotonic() >= self._kill_at:
            self._code = 1
            self._kill(self._workers.values())

    def _signalled(self, numbers: bytes) -> None:
        for number in numbers:
            if number in self._endings:
                self._tell_all(TURN_OUT) if self._ending else self._end()

    def _hear(self, worker: Worker) -> None:
        messages = worker.line.hear()
        if messages is None:
            self._selector.unregister(worker.line)
        for message in messages or ():
            self._follow(worker, message)

    def _follow(self, worker: Worker, message: Message) -> None:
        said = message["say"]
        if said == LOADED:
            worker.loaded = True
            self._agreement.begin(message["models"])
        elif said == CHANGE:
            others = {other.pid: other.line for other in self._workers.values() if other is not worker}
            self._agreement.change(worker.line, message, others)
        elif said == FOLLOWED:
            self._agreement.followed(worker.pid, message)
            if not message["followed"]:
                worker.line.say(DRAIN)
        elif said == LISTENS:
            worker.listens = True
        elif said == REFUSED:
            worker.why = message["why"]
            if not self._all_were_loaded and not self._ending:
                self._give_up(worker.why)

    def _let_listen(self) -> None:
        """All at once at first: whoever came first would have all connections. Later each as soon as it can."""
        if not self._ending:
            workers = self._workers.values()
            self._all_were_loaded |= not self._due and all(worker.loaded for worker in workers)
            for worker in workers:
                if self._all_were_loaded and worker.loaded and not worker.told:
                    worker.told = True
                    worker.line.say(LISTEN)

    def _bury(self) -> None:
        for worker in list(self._workers.values()):
            pid, status = os.waitpid(worker.pid, os.WNOHANG)
            if pid:
                del self._workers[pid]
                with suppress(KeyError, ValueError):
                    self._selector.unregister(worker.line)
                worker.line.close()
                self._agreement.forget(pid)
                self._mourn(worker, os.waitstatus_to_exitcode(status))

    def _mourn(self, worker: Worker, code: int) -> None:
        if self._ending:
            self._code = self._code or int(code != 0 and worker.told)
            return
        how = worker.why or (f"killed by signal {-code}" if code < 0 else f"exit code {code}")
        quick = code != 0 and worker.age_s < QUICK_S
        self._num_quick = self._num_quick + 1 if quick else 0
        steady = any(other.listens and other.age_s >= QUICK_S for other in self._workers.values())
        if self._num_quick >= MAX_QUICK and not steady:
            self._give_up(
                f"workers end as soon as they are started, {MAX_QUICK} in a row, the last one: {how}"
            )
            return
        pause_s = min(LAST_PAUSE_S, FIRST_PAUSE_S * 2 ** max(0, self._num_quick - 1))
        self._due[worker.index] = time.monotonic() + pause_s
        log.warning("a worker has ended", worker=worker.index, pid=worker.pid, how=how, again_in_s=pause_s)

    def _give_up(self, why: str) -> None:
        self._why = why
        self._end()

    def _end(self) -> None:
        """Let all drain; who holds no session yet has nothing to drain."""
        self._due.clear()
        self._kill_at = time.monotonic() + self._settings.server.grace_s + LAST_WORDS_S
        self._tell_all(DRAIN)
        self._kill(worker for worker in self._workers.values() if not worker.told)

    def _tell_all(self, what: str) -> None:
        for worker in self._workers.values():
            worker.line.say(what)

    @staticmethod
    def _kill(workers: Iterable[Worker]) -> None:
        for worker in workers:
            with suppress(ProcessLookupError):
                os.kill(worker.pid, signal.SIGKILL)


@contextmanager
def _signals(numbers: Iterable[signal.Signals]) -> Iterator[socket.socket]:
    """A socket on which those of these numbers come while inside."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.setblocking(False)
        before = {number: signal.signal(number, lambda *_: None) for number in numbers}
        wakeup = signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
        try:
            yield ours
        finally:
            signal.set_wakeup_fd(wakeup)
            for number, handler in before.items():
                signal.signal(number, handler)
