import json
import re

import pytest

from service.cli import settings as flags
from service.client import Client
from tests.fakes.fake_service import FakeService
from tests.service.cli.conftest import Seqserve


def test_sessions_are_a_table_or_json_and_can_be_closed(
    seqserve: Seqserve, address: str, fake: FakeService
) -> None:
    with Client(address) as client:
        for durability in ("every step", "every 8 steps"):
            client.session(durability=durability).feed("uno ")
        header, first, second = seqserve("sessions").lines
        assert header.split()[:3] == ["session", "model", "where"]
        assert " ".join(first.split()).startswith("session-1 questions/1 active 1 0 1 1 every step")
        assert "every 8 steps" in second
        assert [json.loads(line)["num_turns"] for line in seqserve("sessions", "--json").lines] == [1, 1]
        assert seqserve("sessions", "--close", "session-1").code == 0
        assert list(fake.sessions) == ["session-2"]
        ran = seqserve("sessions", "--close", "session-1")
        assert (ran.code, ran.err) == (1, "seqserve: no session 'session-1'; there are others\n")


def test_live_goes_on_when_its_server_has_been_away(seqserve: Seqserve, fake: FakeService) -> None:
    fake.sessions.plan.extend(["ok", "cut", "ok"])
    ran = seqserve("classify", "--live", stdin=b"is it so?\n")
    assert ran.lines == ["statement\t0.7500\tis", "statement\t0.7500\tis it", "question\t0.7500\tis it so?"]
    broke, resumed = ran.err.splitlines()
    assert broke.endswith("; reconnecting …")
    assert re.fullmatch(r"… resumed after \d+\.\d s: nothing lost, nothing done twice", resumed)


@pytest.mark.parametrize(
    ("store", "settings"),
    [
        (None, {}),
        ("none", {"kind": "none"}),
        ("sqlite", {"kind": "sqlite"}),
        (
            "sqlite:/var/lib/seqserve/sessions.sqlite",
            {"kind": "sqlite", "path": "/var/lib/seqserve/sessions.sqlite"},
        ),
        ("redis://:secret@cache:6379/1", {"kind": "redis", "url": "redis://:secret@cache:6379/1"}),
        ("rediss://cache/0", {"kind": "redis", "url": "rediss://cache/0"}),
    ],
)
def test_the_store_of_a_server(store: str | None, settings: dict[str, str]) -> None:
    assert flags.store_flags(store) == settings
