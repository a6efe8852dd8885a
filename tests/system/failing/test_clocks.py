"""The wall clock is set, by hours and days, while servers run (libfaketime); and one sleeps longer than sessions live.

What goes by the wall clock, as it has to: the ends of certificates, access keys, web tokens and tickets, which are
written on other machines, and the times of the log. All else goes by clocks that nobody sets.
"""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from service.client import Client
from tests.conftest import Missing
from tests.system.failing.served import EVERY_STEP, MODEL, Served

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

LIBRARIES = Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")
FAKETIME = next(LIBRARIES, None)


class Clocked(Served):
    """A server whose wall clock can be set."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        super().__init__(folder, *arguments)
        self._offset = folder / "offset"
        self.set_clock("+0")
        self.environment = {
            "LD_PRELOAD": str(FAKETIME),
            "FAKETIME_TIMESTAMP_FILE": str(self._offset),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def set_clock(self, offset: str) -> None:
        self._offset.write_text(f"{offset}\n")


@contextmanager
def serving(server: Served) -> Iterator[Client]:
    server.start()
    server.wait()
    try:
        with server.client() as client:
            yield client
    finally:
        server.signal(signal.SIGCONT)
        server.kill()


@pytest.mark.parametrize("jump", ["+3h", "+40d", "-3h", "-40d"])
def test_a_clock_that_is_set_ends_no_session_whether_it_is_held_idle_or_only_in_the_store(
    tmp_path: Path, missing: Missing, jump: str
) -> None:
    if FAKETIME is None:
        missing("libfaketime")
    server = Clocked(tmp_path, "--store", f"sqlite:{tmp_path / 'sessions.sqlite'}")
    with serving(server) as client:
        with client.session(model=MODEL) as alone:
            expected = [alone.feed(word) for word in ("uno ", "dos ")]
        held = client.session(model=MODEL, ttl_s=60, durability=EVERY_STEP).__enter__()
        idle, cold = (
            client.session(model=MODEL, ttl_s=60, durability=EVERY_STEP).__enter__() for _ in range(2)
        )
        assert [each.feed("uno ") for each in (held, idle, cold)] == expected[:1] * 3
        idle.detach()
        cold.detach()
        server.set_clock(jump)
        time.sleep(2.5)  # the store is looked after each second
        assert held.feed("dos ") == expected[1]
        with client.resume(idle.session_id) as resumed:
            assert resumed.feed("dos ") == expected[1]
            resumed.detach()
        server.kill()
        server.start()
        server.wait()
        with client.resume(cold.session_id) as resumed:
            assert resumed.feed("dos ") == expected[1]
        assert all(client.parts().values())
        held.detach()


def test_a_session_ends_in_its_time_whatever_the_clock_says(tmp_path: Path, missing: Missing) -> None:
    if FAKETIME is None:
        missing("libfaketime")
    server = Clocked(tmp_path, "--store", f"sqlite:{tmp_path / 'sessions.sqlite'}")
    with serving(server) as client:
        session = client.session(model=MODEL, ttl_s=1, durability=EVERY_STEP).__enter__()
        session.feed("uno ")
        session.detach()
        server.set_clock("-40d")
        end = time.monotonic() + 30
        while client.sessions():
            assert time.monotonic() < end
            time.sleep(0.2)


def test_who_slept_for_longer_than_a_session_lives_goes_on_with_it(tmp_path: Path) -> None:
    """A paused machine: the session was held by a stream, so nobody else could have had it, and it is not over."""
    server = Served(tmp_path, "--store", f"sqlite:{tmp_path / 'sessions.sqlite'}")
    with serving(server) as client:
        with client.session(model=MODEL) as alone:
            expected = [alone.feed(word) for word in ("uno ", "dos ")]
        with client.session(model=MODEL, ttl_s=3, durability=EVERY_STEP) as session:
            assert session.feed("uno ") == expected[0]
            server.signal(signal.SIGSTOP)
            time.sleep(6)
            server.signal(signal.SIGCONT)
            assert session.feed("dos ") == expected[1]
            server.until_part("store", works=True)
            assert server.metric("seqserve_sessions_unsaved") == 0
            assert [one.session_id for one in client.sessions()] == [session.session_id]
