import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from benchmarks.counters import Counters
from benchmarks.processes import Running
from benchmarks.window import Window, observe


@pytest.fixture
def idle() -> Iterator[Running]:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    yield Running("", process)
    process.kill()
    process.wait()


def test_what_is_heard_before_and_after_the_window_does_not_count() -> None:
    window = Window()
    window.first(0.0)
    window.open = True
    window.next(window.first(time.perf_counter()))
    window.open = False
    window.next(0.0)
    assert (window.num_tokens, len(window.first_s), len(window.between_s)) == (2, 1, 1)


async def test_a_client_that_fails_ends_the_measurement(idle: Running) -> None:
    async def fails(window: Window) -> None:
        raise ValueError("gone")

    with pytest.raises(ValueError, match="gone"):
        await observe(idle, [fails], 60)


async def test_clients_are_let_finish_what_they_began(idle: Running) -> None:
    finished = []

    async def works(window: Window) -> None:
        while not window.over:
            await asyncio.sleep(0.01)
            window.whole(time.perf_counter(), 5)
        finished.append(True)

    heard = await observe(idle, [works, works], 0.1)
    assert finished == [True, True]
    assert heard.num_tokens % 5 == 0 < heard.num_tokens
    assert heard.tokens_per_s == heard.num_tokens / heard.seconds


async def test_a_window_is_open_until_something_is_heard(idle: Running) -> None:
    """As short as one of --quick may be, a machine can stand still for longer."""

    async def slow(window: Window) -> None:
        while not window.over:
            await asyncio.sleep(0.3)
            window.whole(time.perf_counter(), 5)

    heard = await observe(idle, [slow], 0.01)
    assert heard.tokens_per_s == heard.num_tokens / heard.seconds > 0


async def test_a_window_in_which_nothing_is_heard_has_no_figures(
    idle: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmarks.window.PATIENCE_S", 0.1)

    async def waits(window: Window) -> None:
        await asyncio.Event().wait()

    async def has_ended(window: Window) -> None: ...

    for clients in ([waits, waits], [has_ended]):
        with pytest.raises(RuntimeError, match=rf"nothing was answered to {len(clients)} client"):
            await observe(idle, clients, 0.05)


def test_counters_are_those_of_the_time_between_two_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    def page(batches: int, rows: int) -> bytes:
        at = '{graph="step",model="tatoeba-es-en/1"}'
        return f"seqserve_batch_size_sum{at} {rows}\nseqserve_batch_size_count{at} {batches}\n".encode()

    pages = iter([page(10, 10), page(20, 50)])
    monkeypatch.setattr("urllib.request.urlopen", lambda url, timeout: Page(next(pages)))
    before, after = Counters.read("http://x"), Counters.read("http://x")
    assert after.since(before).mean_batch("tatoeba-es-en", "step") == 4.0
    assert after.since(before).mean_batch("tatoeba-es-en", "encode") == 0.0


class Page:
    def __init__(self, text: bytes) -> None:
        self._text = text

    def read(self) -> bytes:
        return self._text

    def __enter__(self) -> "Page":
        return self

    def __exit__(self, *_: object) -> None: ...
