"""Clients of a server that refuses: what they send to it, what they do not, and what has to go on in any case."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import grpc
import pytest

from service.client import AsyncClient, Client, ClientError, HoldingBack, Overloaded, base, gate
from service.client.errors import HELD_BACK, TURNED_AWAY
from service.client.throttle import Throttle
from tests.fakes.failures import Failure, because, cut, overloaded, wrong
from tests.fakes.fake_service import FakeService, served
from tests.service.client.blocking import Blocking
from tests.service.client.conftest import MULTIPLEXED, Connect

pytestmark = MULTIPLEXED

FOR_LONG = HoldingBack(window_s=1000.0, after_s=0.0)
NUM_CALLS = 60
FULL = Failure(grpc.StatusCode.CANCELLED, TURNED_AWAY)

Ask = Callable[[Client], object]


def whole(client: Client) -> str:
    return client.translate("uno").text


def streamed(client: Client) -> str:
    with client.stream_translate("uno") as stream:
        return stream.finish().text


def opened(client: Client) -> str:
    with client.session() as session:
        return session.session_id


KINDS = pytest.mark.parametrize("ask", [whole, streamed, opened])


def outcomes(client: Client, ask: Ask, number: int = NUM_CALLS) -> list[ClientError | None]:
    found: list[ClientError | None] = []
    for _ in range(number):
        try:
            ask(client)
        except ClientError as error:
            found.append(error)
        else:
            found.append(None)
    return found


def certainly(client: Client) -> None:
    """Whatever may be held back is, from now on."""
    inner: Client | AsyncClient = client._inner if isinstance(client, Blocking) else client
    for each in inner._gates.values():
        each._throttle = Throttle(FOR_LONG, chance=lambda: 0.0)
        for _ in range(100):
            each._throttle.refused(each._throttle.send())


@pytest.mark.parametrize(
    ("ask", "refusal"),
    [
        (whole, FULL),
        (whole, overloaded(0.25)),
        (streamed, FULL),
        (streamed, overloaded(0.25)),
        (opened, FULL),
    ],
)
def test_a_server_that_refuses_much_is_sent_less(
    address: str, fake: FakeService, connect: Connect, ask: Ask, refusal: Failure
) -> None:
    fake.failures = [refusal] * NUM_CALLS
    with connect(address, max_attempts=1, holding_back=FOR_LONG) as client:
        found = outcomes(client, ask)
    held = [error for error in found if error is not None and error.reason == HELD_BACK]
    assert FOR_LONG.free < len(fake.requests) < 0.75 * NUM_CALLS
    assert len(fake.requests) + len(held) == NUM_CALLS
    assert all(isinstance(error, Overloaded) and error.retry_after_s > 0 for error in found)
    assert all("was not sent" in str(error) for error in held)
    assert all(error.retry_after_s == FOR_LONG.window_s for error in held if isinstance(error, Overloaded))


@KINDS
def test_who_does_not_want_it_sends_all(address: str, fake: FakeService, connect: Connect, ask: Ask) -> None:
    fake.failures = [FULL] * NUM_CALLS
    with connect(address, max_attempts=1, holding_back=None) as client:
        outcomes(client, ask)
    assert len(fake.requests) == NUM_CALLS


@pytest.mark.parametrize(
    "refusal",
    [
        Failure(grpc.StatusCode.RESOURCE_EXHAUSTED, "too many", [because("QUOTA_EXCEEDED")]),
        Failure(grpc.StatusCode.RESOURCE_EXHAUSTED, "somebody on the way says so"),
        Failure(grpc.StatusCode.CANCELLED, "somebody on the way does not want it"),
        Failure(grpc.StatusCode.INTERNAL, "a fault", [because("STEP_FAILED")]),
        Failure(grpc.StatusCode.PERMISSION_DENIED, "no", [because("NOT_ALLOWED")]),
        wrong("texts[0]", "no"),
        cut(),
    ],
    ids=lambda failure: failure.message,
)
@pytest.mark.parametrize("ask", [whole, streamed])
def test_what_is_not_the_server_s_load_holds_back_nothing(
    address: str, fake: FakeService, connect: Connect, ask: Ask, refusal: Failure
) -> None:
    fake.failures = [refusal] * NUM_CALLS
    with connect(address, max_attempts=1, holding_back=FOR_LONG) as client:
        assert None not in outcomes(client, ask)
    assert len(fake.requests) == NUM_CALLS


def test_no_place_for_sessions_holds_back_no_call(address: str, fake: FakeService, connect: Connect) -> None:
    fake.failures = [overloaded(1.0)] * NUM_CALLS
    with connect(address, max_attempts=1, holding_back=FOR_LONG) as client:
        outcomes(client, opened)
        assert len(fake.requests) == NUM_CALLS
        assert outcomes(client, whole) == [None] * NUM_CALLS


def test_calls_streams_and_openings_count_together(address: str, fake: FakeService, connect: Connect) -> None:
    with connect(address, max_attempts=1, holding_back=FOR_LONG) as client:
        certainly(client)
        for ask in (whole, streamed, opened):
            with pytest.raises(Overloaded, match="was not sent"):
                ask(client)
    assert not fake.requests


def test_a_session_goes_on_whatever_is_held_back(address: str, fake: FakeService, connect: Connect) -> None:
    with connect(address, max_attempts=1, timeout=20, holding_back=FOR_LONG) as client:
        session = client.session(durability="every step")
        session.feed("uno ")
        certainly(client)
        assert session.feed("dos ").input_position == 2
        fake.sessions.plan.append("cut")  # its stream breaks, and it is taken up again
        assert session.feed("tres ").input_position == 3
        with session.fork() as other:
            assert other.feed("cuatro ").input_position == 4
        assert session.generate().finish().text == "UNO DOS TRES"
        session.detach()
        with client.resume(session.session_id) as again:
            assert again.num_turns == 4
        with pytest.raises(Overloaded, match="was not sent"):
            opened(client)


def test_a_session_that_has_to_begin_again_is_not_held_back(
    address: str, fake: FakeService, connect: Connect
) -> None:
    with connect(address, max_attempts=1, timeout=20, holding_back=FOR_LONG) as client:
        session = client.session(durability="every 8 steps")
        session.feed("uno ")
        certainly(client)
        fake.sessions.plan.append("crash")
        fake.sessions.store.clear()
        assert session.feed("dos ").input_position == 2
        session.close()


def test_a_session_waits_until_it_may_begin(
    address: str, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = HoldingBack(window_s=0.3, after_s=0.0)
    with connect(address, timeout=20, patience=20.0, holding_back=settings) as client:
        certainly(client)
        inner: Any = client._inner if isinstance(client, Blocking) else client
        [throttle] = [each._throttle for each in inner._gates.values()]
        monkeypatch.setattr("service.client.reconnecting.FIRST_WAIT_S", 0.001)
        chances = [0.0] * 3 + [0.999]
        monkeypatch.setattr(throttle, "_chance", lambda: chances.pop(0))
        with client.session() as session:
            assert session.feed("uno ").input_position == 1
        assert not chances


def test_what_costs_a_server_nothing_is_never_held_back(
    address: str, fake: FakeService, connect: Connect
) -> None:
    with connect(address, max_attempts=1, holding_back=FOR_LONG) as client:
        session = client.session(durability="every step")
        session.detach()
        certainly(client)
        assert client.models()
        assert client.model("capitals").name == "capitals"
        assert client.sessions()
        client.close_session(session.session_id)
        assert not fake.sessions


def test_each_server_has_a_window_of_its_own(fake: FakeService, connect: Connect) -> None:
    full = FakeService()
    full.failures = [FULL] * 1000
    with (
        served(full) as refuses,
        served(fake) as takes,
        connect([refuses, takes], max_attempts=1, holding_back=FOR_LONG) as client,
    ):
        outcomes(client, whole)
        inner: Any = client._inner if isinstance(client, Blocking) else client
        inner._turn_elsewhere()
        assert outcomes(client, whole) == [None] * NUM_CALLS
    assert len(full.requests) < 0.75 * NUM_CALLS


def test_connections_to_one_server_share_its_window(
    address: str, fake: FakeService, connect: Connect
) -> None:
    fake.failures = [FULL] * NUM_CALLS
    with connect(address, max_attempts=1, connections=4, holding_back=FOR_LONG) as client:
        outcomes(client, whole)
    assert len(fake.requests) < 0.75 * NUM_CALLS


@pytest.mark.parametrize("ask", [whole, streamed])
def test_attempts_after_the_first_are_held_back_too(
    address: str, fake: FakeService, connect: Connect, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "FIRST_WAIT_S", 0.0)
    fake.failures = [FULL] * 1000
    with connect(address, max_attempts=5, holding_back=FOR_LONG) as client:
        outcomes(client, ask, number=20)
    assert 5 <= len(fake.requests) < 0.5 * 5 * 20


@pytest.mark.parametrize("ask", [whole, streamed])
def test_a_call_that_is_held_back_is_tried_again_as_one_that_is_refused(
    address: str, fake: FakeService, connect: Connect, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "FIRST_WAIT_S", 0.0)
    with connect(address, max_attempts=5, holding_back=FOR_LONG) as client:
        certainly(client)
        inner: Any = client._inner if isinstance(client, Blocking) else client
        [throttle] = [each._throttle for each in inner._gates.values()]
        chances = iter([0.0] * 4 + [0.999])
        monkeypatch.setattr(throttle, "_chance", lambda: next(chances))
        assert ask(client) == "UNO"
    assert len(fake.requests) == 1


@pytest.mark.parametrize("ask", [whole, streamed])
@pytest.mark.parametrize("attempts", [1, 3, 5])
def test_it_is_tried_as_often_as_was_asked_for(
    address: str,
    fake: FakeService,
    connect: Connect,
    ask: Ask,
    attempts: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gate, "FIRST_WAIT_S", 0.0)
    with connect(address, max_attempts=attempts) as client:
        fake.failures = [FULL] * (attempts - 1)
        assert ask(client) == "UNO"
        fake.failures = [FULL] * 100
        with pytest.raises(Overloaded):
            ask(client)
    assert len(fake.failures) >= 100 - attempts


@pytest.mark.parametrize("ask", [whole, streamed])
def test_there_is_no_waiting_past_the_time_that_was_given(
    address: str, fake: FakeService, connect: Connect, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "FIRST_WAIT_S", 100.0)
    monkeypatch.setattr(gate, "MAX_WAIT_S", 100.0)
    fake.failures = [FULL]
    with connect(address, timeout=20, max_attempts=5) as client, pytest.raises(Overloaded):
        ask(client)
    assert len(fake.requests) == 1


@pytest.mark.parametrize("ask", [whole, streamed])
def test_all_attempts_have_the_time_of_one(
    address: str, fake: FakeService, connect: Connect, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "FIRST_WAIT_S", 0.0)
    deadlines: list[float] = []
    answering, waiting = fake._answering, gate.Attempts.wait_s

    def noting(request: Any, context: Any) -> Any:
        deadlines.append(time.monotonic() + context.time_remaining())
        return answering(request, context)

    def long_past(attempts: gate.Attempts, error: ClientError) -> float:
        attempts.began -= 12.0
        return waiting(attempts, error)

    monkeypatch.setattr(fake, "_answering", noting)
    monkeypatch.setattr(gate.Attempts, "wait_s", long_past)
    fake.failures = [FULL]
    with connect(address, timeout=20, max_attempts=2) as client:
        assert ask(client) == "UNO"
    first, second = deadlines
    assert second == pytest.approx(first - 12.0, abs=6.0)


def test_a_stream_that_has_said_something_is_not_made_again(
    address: str, fake: FakeService, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "FIRST_WAIT_S", 0.0)
    monkeypatch.setattr(type(fake), "StreamTranslate", _cut_after_one(fake))
    with served(fake) as again, connect(again) as client:
        stream = client.stream_translate("uno dos")
        assert next(iter(stream)).piece == "UNO"
        with pytest.raises(Overloaded, match="more calls waiting"):
            stream.finish()
    assert len(fake.requests) == 1


def _cut_after_one(fake: FakeService) -> Any:
    before = type(fake).StreamTranslate

    def stream(self: FakeService, request: Any, context: grpc.ServicerContext) -> Any:
        yield next(before(self, request, context))
        FULL.abort(context)

    return stream


def test_a_stream_that_is_cancelled_while_it_waits_is_not_made_again(
    address: str, fake: FakeService, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "FIRST_WAIT_S", 0.0)
    fake.failures = [FULL]
    with connect(address) as client:
        stream = client.stream_translate("uno")
        inner: Any = stream._inner if isinstance(stream, Blocking) else stream
        wait_s = gate.Attempts.wait_s

        def leaving(attempts: gate.Attempts, error: ClientError) -> float:
            inner.cancel()
            return wait_s(attempts, error)

        monkeypatch.setattr(gate.Attempts, "wait_s", leaving)
        with pytest.raises((Overloaded, asyncio.CancelledError)):
            stream.finish()
    assert len(fake.requests) == 1


def test_long_lists_get_through_a_server_that_recovers(
    address: str, fake: FakeService, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "FIRST_WAIT_S", 0.01)
    monkeypatch.setattr(base, "MAX_WAIT_S", 0.05)
    fake.failures = [FULL] * 30
    settings = HoldingBack(window_s=0.2, after_s=0.0)
    with connect(address, max_texts=1, max_under_way=4, holding_back=settings) as client:
        texts = [f"text {number}" for number in range(40)]
        assert [one.text for one in client.translate(texts)] == [text.upper() for text in texts]
