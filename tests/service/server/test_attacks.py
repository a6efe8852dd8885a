"""Nobody gets at another's session, and the victim, whose stream is writing meanwhile, does not notice the attempt."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from seqserve.v1 import session_pb2
from tests.fakes.toy_server import Toys, serve_toys
from tests.fakes.wire import model
from tests.service.server.attacks import ALICE, ATTACKS, EVERY_STEP, KEYS, STRANGERS, Attack, Scene, talk

DOCS = Path(__file__).resolve().parents[3] / "docs" / "sessions.md"
TEXT = "tres cuatro cinco seis siete "

Said = list[tuple[Any, ...]]


@asynccontextmanager
async def two_servers(folder: Path, keys: str = KEYS) -> AsyncIterator[tuple[Toys, Toys]]:
    pieces: dict[str, Any] = {
        "store": {"kind": "sqlite", "path": str(folder / "sessions.sqlite"), "timeout_s": 30.0},
        "server": {"trust_owner_header": True},
        "keys": {"snapshot_keys": keys},
    }
    async with serve_toys(folder / "1", **pieces) as one, serve_toys(folder / "2", **pieces) as other:
        yield one, other


class Victim:
    """A session that has been rewound once and now writes."""

    def __init__(self, toys: Toys) -> None:
        self._talk = talk(toys, ALICE)
        self.session_id = ""
        self.tickets: list[bytes] = []
        self._said: Said = []

    async def begin(self) -> None:
        self.session_id = (
            await self._talk.say(open=session_pb2.Open(model=model(), durability=EVERY_STEP))
        ).session_id
        await self._talk.feed("uno dos ")
        await self._ticket()
        await self._talk.say(rewind=session_pb2.Rewind(after_turn=-1))
        await self._talk.feed(TEXT)
        await self._ticket()

    async def write(self) -> None:
        """Begin an output and take the first tokens."""
        await self._talk.call.write(session_pb2.SessionRequest(generate=session_pb2.Generate()))
        await self._hear()

    async def rest(self) -> Said:
        """All that was said: tokens bit for bit, where they stand, and how it ended."""
        while self._said[-1][0] != "end":
            await self._hear()
        await self._talk.say(close=session_pb2.Close())
        return self._said

    async def _hear(self) -> None:
        output = await self._talk.hear()
        assert isinstance(output, session_pb2.Output), output
        first = output.output_position - len(output.tokens)
        self._said += [(first + at, token.SerializeToString()) for at, token in enumerate(output.tokens)]
        if output.finish_reason:
            self._said.append(("end", *(found.SerializeToString() for found in output.hypotheses)))

    async def _ticket(self) -> None:
        asked = session_pb2.Snapshot(as_ticket=True)
        self.tickets.append((await self._talk.say(snapshot=asked)).ticket)


async def idle_session(toys: Toys, text: str) -> str:
    """A session of the victim's that is in the store and that no stream holds."""
    stream = talk(toys, ALICE)
    opened = await stream.say(open=session_pb2.Open(model=model(), durability=EVERY_STEP))
    await stream.feed(text)
    await stream.leave()
    return str(opened.session_id)


@asynccontextmanager
async def scene(folder: Path, keys: str = KEYS) -> AsyncIterator[tuple[Scene, Victim]]:
    """The victim has begun to write, and its engine is held."""
    async with two_servers(folder, keys) as (toys, other):
        idle_ids = [await idle_session(toys, text) for text in ("uno dos ", "dos uno tres ")]
        victim = Victim(toys)
        await victim.begin()
        toys.engine().hold()
        toys.engine().let(2)
        await victim.write()
        store = folder / "sessions.sqlite"
        old, new = victim.tickets
        yield Scene(toys, store, victim.session_id, old, new, idle_ids, other), victim


async def undisturbed(folder: Path) -> Said:
    async with two_servers(folder) as (toys, _):
        victim = Victim(toys)
        await victim.begin()
        await victim.write()
        return await victim.rest()


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.run.__name__)
async def test_an_attack_is_refused_and_the_victim_does_not_notice(tmp_path: Path, attack: Attack) -> None:
    async with scene(tmp_path / "attacked") as (at, victim):
        answers = [(each.code, each.reason) async for each in attack.run(at)]
        at.toys.engine().let_go()
        said = await victim.rest()
    assert answers
    assert set(answers) == {(attack.code, attack.reason)}
    assert said == await undisturbed(tmp_path / "alone")


@pytest.mark.parametrize("attack", [one for one in ATTACKS if one.run.__name__.endswith("_snapshot")])
async def test_a_store_without_keys_is_protected_against_accidents(tmp_path: Path, attack: Attack) -> None:
    """Its snapshots have a checksum; that they are sealed against intent takes a key."""
    async with scene(tmp_path, keys="") as (at, victim):
        answers = {(each.code, each.reason) async for each in attack.run(at)}
        at.toys.engine().let_go()
        await victim.rest()
    assert answers == {(attack.code, attack.reason)}


async def test_another_owners_sessions_are_not_listed_whatever_page_is_asked_for(tmp_path: Path) -> None:
    async with scene(tmp_path) as (at, victim):
        for owner in STRANGERS:
            metadata = (("seqserve-owner", owner),) if owner else ()
            for token in ("", "m0", "m7", "s", f"s{0:015d}:", f"s{0:015d}:{at.session_id}"):
                request = session_pb2.ListSessionsRequest(page_token=token)
                for toys in (at.toys, at.other):
                    answer = await toys.sessions.ListSessions(request, metadata=metadata)
                    assert not answer.sessions
        at.toys.engine().let_go()
        await victim.rest()


async def test_a_damaged_snapshot_that_is_put_right_is_gone_on_with(tmp_path: Path) -> None:
    async with two_servers(tmp_path) as (toys, other):
        session_id = await idle_session(toys, "uno dos ")
        at = Scene(toys, tmp_path / "sessions.sqlite", "", b"", b"", [], other)
        good = at.stored(session_id)
        at.put(session_id, good[:-1])
        await at.restored(session_id)
        at.put(session_id, good)
        stream = talk(other, ALICE)
        await stream.say(resume=session_pb2.Resume(session_id=session_id))
        assert (await stream.generate())[-1].hypotheses[0].text == "one two"


async def test_the_newest_ticket_goes_on_at_another_server(tmp_path: Path) -> None:
    """So that what is refused above is refused for what was done to it."""
    async with two_servers(tmp_path) as (toys, other):
        victim = Victim(toys)
        await victim.begin()
        stream = talk(other, ALICE)
        await stream.say(resume=session_pb2.Resume(ticket=victim.tickets[-1]))
        assert (await stream.generate())[-1].hypotheses[0].text == "three four five six seven"


def test_the_docs_list_every_attack_and_its_answer() -> None:
    rows = re.findall(r"^\| (.+?) \| `(\w+)` \| `(\w+)` \|$", DOCS.read_text("utf-8"), re.MULTILINE)
    assert rows == [(each.name, each.code.name, each.reason) for each in ATTACKS]
