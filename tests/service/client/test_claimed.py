"""Another stream claims the session of this client: it is not taken back, whatever this client was about to do."""

import grpc
import pytest

from seqserve.v1.session_pb2 import SessionRequest
from service.client import Client, SessionBusy, reconnecting
from tests.fakes.failures import Failure, because, cut
from tests.fakes.fake_service import FakeService
from tests.service.client.conftest import MULTIPLEXED, Connect

pytestmark = MULTIPLEXED


def kinds(fake: FakeService) -> list[str | None]:
    return [one.WhichOneof("request") for one in fake.requests if isinstance(one, SessionRequest)]


def test_a_session_that_another_has_claimed_is_not_taken_back(client: Client, fake: FakeService) -> None:
    session = client.session()
    session.feed("uno ")
    fake.sessions.plan.append("moved")
    with pytest.raises(SessionBusy, match="claimed") as moved:
        session.feed("dos ")
    assert moved.value.reason == "MOVED_CLAIMED"
    assert kinds(fake) == ["open", "feed", "feed"]


@pytest.mark.parametrize("place", range(3))
def test_nor_while_it_was_about_to_go_on_after_a_break(client: Client, fake: FakeService, place: int) -> None:
    session = client.session(durability="every 8 steps")
    session.feed("uno ")
    session.feed("dos ")
    fake.sessions.plan.extend(["crash", *["ok"] * place, "moved"])
    with pytest.raises(SessionBusy):
        session.feed("tres ")
    assert kinds(fake).count("resume") == 1


def test_an_attempt_of_its_own_that_came_late_may_have_claimed_it(client: Client, fake: FakeService) -> None:
    session = client.session(durability="every step")
    session.feed("uno ")
    session.detach()
    fake.failures = [cut()]
    fake.sessions.plan.append("moved")
    assert session.feed("dos ").input_position == 2
    assert kinds(fake)[2:] == ["resume", "resume", "feed", "resume", "feed"]


def test_but_only_once_for_each_such_attempt(client: Client, fake: FakeService) -> None:
    session = client.session(durability="every step")
    session.feed("uno ")
    session.detach()
    fake.failures = [cut()]
    fake.sessions.plan.extend(["moved"] * 2)
    with pytest.raises(SessionBusy):
        session.feed("dos ")


AWAY = Failure(grpc.StatusCode.UNAVAILABLE, "the store is away", [because("STORE_AWAY")])


@pytest.mark.parametrize("failure", [cut(), AWAY], ids=["cut", "store away"])
@pytest.mark.parametrize("answers", range(3))
def test_that_may_be_some_answers_later(
    client: Client, fake: FakeService, failure: Failure, answers: int
) -> None:
    """The server that was asked first, or its store, was slower than the next one with its answers."""
    session = client.session(durability="every 8 steps")
    session.feed("uno ")
    session.detach()
    fake.failures = [failure]
    fake.sessions.plan.extend([*["ok"] * answers, "moved"])
    positions = [session.feed(text).input_position for text in ("dos ", "tres ", "cuatro ")]
    assert positions == [2, 3, 4]
    assert kinds(fake).count("resume") == 3
    assert fake.sessions.num_run == 4


def test_but_not_for_ever(client: Client, fake: FakeService, monkeypatch: pytest.MonkeyPatch) -> None:
    session = client.session(durability="every step")
    session.feed("uno ")
    session.detach()
    fake.failures = [cut()]
    fake.sessions.plan.extend(["ok", "moved"])
    session.feed("dos ")
    monkeypatch.setattr(reconnecting, "LATE_CLAIM_S", 0.0)
    with pytest.raises(SessionBusy):
        session.feed("tres ")


@pytest.mark.parametrize(
    "failure",
    [
        Failure(grpc.StatusCode.UNAVAILABLE, "failed to connect to all addresses"),
        Failure(grpc.StatusCode.CANCELLED, "CANCELLED"),
    ],
    ids=["no server", "turned away"],
)
def test_an_attempt_that_nobody_looked_at_claims_nothing(
    client: Client, fake: FakeService, failure: Failure
) -> None:
    session = client.session(durability="every step")
    session.feed("uno ")
    session.detach()
    fake.failures = [failure]
    fake.sessions.plan.extend(["ok", "moved"])
    session.feed("dos ")
    with pytest.raises(SessionBusy):
        session.feed("tres ")


def test_a_write_that_was_fenced_is_a_claim_too(client: Client, fake: FakeService) -> None:
    session = client.session()
    fake.failures = [Failure(grpc.StatusCode.ABORTED, "epoch 1 is over", [because("FENCED")])]
    with pytest.raises(SessionBusy):
        session.snapshot()
    assert kinds(fake).count("resume") == 0


def test_who_calls_again_asks_for_it_back(address: str, connect: Connect, fake: FakeService) -> None:
    with connect(address, timeout=20) as client:
        session = client.session()
        fake.sessions.plan.append("moved")
        with pytest.raises(SessionBusy):
            session.feed("uno ")
        assert session.feed("uno ").input_position == 1  # whether it was done before was in doubt
        assert fake.sessions.num_run == 1
