"""What is tried in a stream that carries many calls; docs/threat-model.md lists these tests."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest

from seqserve.v1 import model_pb2, session_pb2
from seqserve.v1.multiplex_pb2 import Begin, Frame, Header
from service.multiplex.window import WINDOW
from tests.fakes.carried import carried
from tests.fakes.frames import (
    SESSION,
    TRANSLATE,
    Line,
    asks,
    lined,
    opening,
    reason_of,
    shows,
)
from tests.fakes.inference import in_sequence, request, tokens
from tests.fakes.key_file import KeyFile, bearer
from tests.fakes.toy_server import Toys, serve_toys
from tests.fakes.waiting import until
from tests.fakes.wire import translate
from tests.service.server.attacks import ATTACKS, Attack
from tests.service.server.test_attacks import scene
from tests.service.server.test_wire_attacks import later, slow_callers, until_empty, until_waiting

Code = grpc.StatusCode
LOAD, UNLOAD = "/seqserve.v1.ModelService/LoadModel", "/seqserve.v1.ModelService/UnloadModel"
INFER = "/inference.GRPCInferenceService/ModelInfer"
NOBODYS = model_pb2.UnloadModelRequest(name="none", version="1")
BY_THE_BYTE = "flipped_", "truncated_", "spliced_"
"""What is done to each byte of a ticket is done where tickets are opened, whichever way they came."""


@pytest.fixture
def keys(tmp_path: Path) -> KeyFile:
    return KeyFile(tmp_path / "access.keys")


def resumption(session_id: str) -> session_pb2.SessionRequest:
    return session_pb2.SessionRequest(resume=session_pb2.Resume(session_id=session_id))


async def opened(line: Line, call: int, metadata: Any = ()) -> str:
    """A session in a carried call; its id."""
    await line.say(Frame(call=call, begin=Begin(method=SESSION, headers=shows(metadata)), message=opening()))
    while not line.messages[call]:
        await line.hear()
    return session_pb2.SessionResponse.FromString(line.messages[call][0]).opened.session_id


async def fed(line: Line, call: int, text: str = "uno ") -> None:
    feed = session_pb2.SessionRequest(feed=session_pb2.Feed(text=text))
    await line.say(Frame(call=call, message=feed.SerializeToString()))


async def until_dark(toys: Toys) -> None:
    """Until no carried call is left, but for the stream itself."""
    await until(lambda: len(toys.server._calls) <= 1)


async def until_it_alone_waits(toys: Toys, owes: str) -> None:
    """Until a carried call waits for its caller, and the stream itself does not."""
    waiting = toys.server.visits.patience._waiting

    def are_waiting() -> list[tuple[str, str]]:
        return [(getattr(task.get_coro(), "__qualname__", ""), owed) for task, (owed, *_) in waiting.items()]

    await until(lambda: are_waiting() == [("Carriage._answer", owes)])


@pytest.mark.parametrize(
    "attack",
    [each for each in ATTACKS if not each.run.__name__.startswith(BY_THE_BYTE)],
    ids=lambda attack: attack.run.__name__,
)
async def test_what_is_refused_alone_is_refused_in_a_stream_with_others(
    tmp_path: Path, attack: Attack
) -> None:
    async with (
        scene(tmp_path) as (at, victim),
        carried(at.toys) as toys,
        carried(at.other) as other,
    ):
        answers = [(each.code, each.reason) async for each in attack.run(replace(at, toys=toys, other=other))]
        at.toys.engine().let_go()
        assert await victim.rest()
    assert set(answers) == {(attack.code, attack.reason)}


async def test_another_owners_sequence_is_not_gone_on_with_over_one_connection(
    tmp_path: Path, keys: KeyFile
) -> None:
    alice, bob = shows(bearer(keys.add("alice"))), shows(bearer(keys.add("bob")))
    async with serve_toys(tmp_path / "models", auth=keys.settings()) as toys:
        line = Line(toys.channel, bearer(keys.add("gateway")))
        toys.server.visits.door.look(at_once=True)
        begins = request("toy-intents.classify", tokens([4]), **in_sequence(1, starts=True))
        goes_on = request("toy-intents.classify", tokens([5]), **in_sequence(1))
        await line.begin(1, INFER, begins, headers=alice)
        assert await line.end_of(1) is Code.OK
        await line.begin(2, INFER, goes_on, headers=bob)
        assert await line.end_of(2) is not Code.OK
        assert not line.messages[2]
        await line.begin(3, INFER, goes_on, headers=alice)
        assert await line.end_of(3) is Code.OK


async def test_each_call_in_a_stream_shows_its_own_credentials(tmp_path: Path, keys: KeyFile) -> None:
    """Whoever opened the stream lends nothing to what it carries, and needs to be let in himself."""
    alice, bob = bearer(keys.add("alice")), bearer(keys.add("bob"))
    async with serve_toys(tmp_path / "models", auth=keys.settings()) as toys:
        line = Line(toys.channel, alice)
        session_id = await opened(line, 1, alice)
        for call, metadata in enumerate(
            ((), bearer("sqk_aaaaaaaa_" + "A" * 43), alice + bob, (("Authorization", alice[0][1]),)), 2
        ):
            await line.begin(call, SESSION, resumption(session_id), headers=shows(metadata))
            assert await line.end_of(call) in (Code.UNAUTHENTICATED, Code.INVALID_ARGUMENT), metadata
        await line.begin(9, SESSION, resumption(session_id), headers=shows(bob))
        assert await line.end_of(9) is Code.NOT_FOUND
        stranger = Line(toys.channel)
        assert await stranger.refusal() is Code.UNAUTHENTICATED


async def test_an_admins_stream_makes_no_admin_of_the_calls_in_it(tmp_path: Path, keys: KeyFile) -> None:
    alice, root = bearer(keys.add("alice")), bearer(keys.add("root", admin=True))
    async with serve_toys(tmp_path / "models", auth=keys.settings(), server={"admin": True}) as toys:
        line = Line(toys.channel, root)
        for call, method in enumerate((UNLOAD, LOAD, "/seqserve.v1.ModelService/NobodyThoughtOfIt")):
            await line.begin(call, method, NOBODYS, headers=shows(alice))
            assert await line.end_of(call) in (Code.PERMISSION_DENIED, Code.UNIMPLEMENTED)
        assert reason_of(line.ended[0]) == reason_of(line.ended[1]) == "NOT_ALLOWED"
        await line.begin(5, UNLOAD, NOBODYS)
        assert await line.end_of(5) is Code.UNAUTHENTICATED
        users = Line(toys.channel, alice)
        await users.begin(1, UNLOAD, NOBODYS, headers=shows(root))
        assert await users.end_of(1) is Code.NOT_FOUND  # let in, and there is none of that name


async def test_each_call_in_a_stream_counts_against_the_calls_of_its_owner(
    tmp_path: Path, keys: KeyFile
) -> None:
    alice, bob = bearer(keys.add("alice")), bearer(keys.add("bob"))
    async with serve_toys(tmp_path / "models", auth=keys.settings(), quotas={"max_calls": 2}) as toys:
        lines = [Line(toys.channel, alice) for _ in range(3)]  # what carries costs none
        for call, line in enumerate(lines[:2]):
            await opened(line, call, alice)
        await lines[2].begin(1, SESSION, headers=shows(alice))
        assert await lines[2].end_of(1) is Code.RESOURCE_EXHAUSTED
        assert reason_of(lines[2].ended[1]) == "QUOTA_EXCEEDED"
        await opened(lines[2], 2, bob)
        await lines[0].say(Frame(call=0, half_close=True))
        await lines[0].end_of(0)
        await opened(lines[2], 3, alice)


async def test_a_call_whose_credentials_end_is_ended_and_the_others_go_on(
    tmp_path: Path, keys: KeyFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a stream of its own: with what its caller says next."""
    soon = (datetime.now(UTC) + timedelta(hours=1)).replace(microsecond=0)
    alice, bob = bearer(keys.add("alice", expires=soon)), bearer(keys.add("bob"))
    async with serve_toys(tmp_path / "models", auth=keys.settings()) as toys:
        line, short = Line(toys.channel, bob), Line(toys.channel, alice)
        session_id = await opened(line, 1, alice)
        await opened(line, 2, bob)
        await opened(short, 1, bob)
        monkeypatch.setattr(toys.server.visits.door, "_clock", lambda: soon.timestamp() + 1)
        await fed(line, 1)
        assert await line.end_of(1) is Code.UNAUTHENTICATED
        await fed(line, 2)
        await line.say(Frame(call=2, half_close=True))
        assert await line.end_of(2) is Code.OK
        assert len(line.messages[2]) == 2
        await line.begin(3, SESSION, resumption(session_id), headers=shows(alice))
        assert await line.end_of(3) is Code.UNAUTHENTICATED
        await fed(short, 1)  # and a stream does not outlive what opened it, whoever is in it
        assert await short.refusal() is Code.UNAUTHENTICATED


async def test_headers_of_a_call_in_a_stream_are_bounded_as_those_of_any_call(tmp_path: Path) -> None:
    """They are kept as long as it lasts: a message of 4 MiB for each of a thousand calls would be 4 GiB."""
    async with lined(tmp_path, server={"max_metadata_bytes": 8192}) as (_, line):
        for call, headers in enumerate(
            (
                [Header(key="x-flood", value=b"a" * 8192)],
                [Header(key="x-flood-bin", value=bytes(3_000_000))],
                [Header(key="a" * 8192, value=b"")],
                [Header(key="x", value=b"")] * 300,
            )
        ):
            await line.begin(call, TRANSLATE, asks("uno"), headers=headers)
            assert await line.end_of(call) is Code.RESOURCE_EXHAUSTED
        await line.begin(9, TRANSLATE, asks("uno"), headers=[Header(key="x", value=b"a" * 8000)])
        assert await line.end_of(9) is Code.OK


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("X-Upper", b"a"),
        (":path", b"a"),
        ("", b"a"),
        ("x y", b"a"),
        ("x", b"a\nb"),
        ("x", b"\0"),
        ("x", b"\x7f"),
    ],
)
async def test_headers_that_http_would_not_carry_are_not_carried_here(
    tmp_path: Path, key: str, value: bytes
) -> None:
    async with lined(tmp_path) as (_, line):
        await line.begin(1, TRANSLATE, asks("uno"), headers=[Header(key=key, value=value)])
        assert await line.end_of(1) is Code.INVALID_ARGUMENT
        assert reason_of(line.ended[1]) == "INVALID_INPUT"


async def test_a_message_that_begins_more_calls_than_there_is_room_for_gets_those_that_there_is(
    tmp_path: Path,
) -> None:
    async with lined(tmp_path, server={"max_concurrent_streams": 3}) as (toys, line):
        await line.say(
            *(Frame(call=call, begin=Begin(method=SESSION), message=opening()) for call in range(1000))
        )
        for call in range(3, 1000):
            assert await line.end_of(call) is Code.RESOURCE_EXHAUSTED
        assert len(toys.server._calls) == 4
        for call in range(3):
            await line.say(Frame(call=call, half_close=True))
            assert await line.end_of(call) is Code.OK
        await line.begin(1000, TRANSLATE, asks("uno"))
        assert await line.end_of(1000) is Code.OK


async def test_calls_that_are_begun_and_left_at_once_leave_nothing_and_hold_up_nobody(tmp_path: Path) -> None:
    """A rapid reset within the stream."""
    async with lined(tmp_path) as (toys, line):
        for first in range(0, 10_000, 500):
            calls = range(first, first + 500)
            begins = [Frame(call=call, begin=Begin(method=SESSION), cancel=call % 2 == 0) for call in calls]
            await line.say(*begins, *(Frame(call=call, cancel=True) for call in calls))
        assert await translate(toys, "dos") == ["two"]
        assert {await line.end_of(call) for call in range(10_000)} == {Code.CANCELLED}
        await until_dark(toys)
        assert await asyncio.to_thread(lambda: toys.jobs_active()) == 0


async def test_frames_that_mean_nothing_cost_nothing_that_stays(tmp_path: Path) -> None:
    """For calls that have ended, without content, with credit that nobody asked for."""
    async with lined(tmp_path) as (toys, line):
        await line.begin(1, TRANSLATE, asks("uno"))
        await line.end_of(1)
        await line.begin(2, SESSION)
        for _ in range(50):
            await line.say(
                *[Frame(call=1, message=b"x", credit=2**32 - 1, cancel=True)] * 500, *[Frame(call=2)] * 500
            )
            await line.say(*[Frame(call=2, credit=2**32 - 1)] * 1000)
        assert await translate(toys, "dos") == ["two"]
        await line.say(Frame(call=2, message=opening(), half_close=True))
        assert await line.end_of(2) is Code.OK


@pytest.mark.parametrize(("method", "owes"), [(TRANSLATE, "sends"), (SESSION, "opens")])
async def test_a_call_in_a_stream_that_is_begun_and_asks_nothing_is_ended(
    tmp_path: Path, method: str, owes: str
) -> None:
    async with lined(tmp_path) as (toys, line):
        await line.begin(1, method)
        await until_it_alone_waits(toys, owes)
        later(toys)
        await toys.server.visits.patience.sweep()
        assert await line.end_of(1) is Code.UNAVAILABLE
        assert slow_callers(toys, owes) == 1
        await line.begin(2, TRANSLATE, asks("uno"))
        assert await line.end_of(2) is Code.OK


async def test_a_call_in_a_stream_whose_answers_are_not_read_is_ended_alone_and_its_session_stays(
    tmp_path: Path,
) -> None:
    keep = session_pb2.SessionRequest(keep_alive=session_pb2.KeepAlive()).SerializeToString()
    async with lined(tmp_path) as (toys, line):
        session_id = await opened(line, 1)
        for _ in range(2):
            await line.say(*[Frame(call=1, message=keep)] * 1000)  # it grants nothing for the answers
        while line.cost_of(1) < WINDOW:
            await line.hear()
        await until_it_alone_waits(toys, "reads")
        later(toys)
        await toys.server.visits.patience.sweep()
        assert await line.end_of(1) is Code.UNAVAILABLE
        assert slow_callers(toys, "reads") == 1
        await line.begin(2, SESSION, resumption(session_id))
        assert await line.end_of(2) is Code.OK


async def test_a_stream_that_carries_nothing_for_long_is_ended_and_one_that_carries_something_is_not(
    tmp_path: Path,
) -> None:
    async with lined(tmp_path, server={"max_idle_s": 1.0}) as (toys, line):
        busy = Line(toys.channel)
        await opened(busy, 1)
        await line.begin(1, TRANSLATE, asks("uno"))
        await line.end_of(1)
        assert await line.stream.read() is grpc.aio.EOF
        assert await line.stream.code() is Code.OK
        await fed(busy, 1)
        await busy.say(Frame(call=1, half_close=True))
        assert await busy.end_of(1) is Code.OK


async def test_streams_that_are_opened_and_say_nothing_are_ended(tmp_path: Path) -> None:
    async with lined(tmp_path) as (toys, line):
        await line.stream.wait_for_connection()
        await until_waiting(toys, "opens")
        later(toys)
        await toys.server.visits.patience.sweep()
        assert await line.refusal() is Code.UNAVAILABLE
        await until_empty(toys)
