import socket
import time

import grpc
import pytest

from service.client import (
    Client,
    ClientError,
    InvalidRequest,
    ModelNotFound,
    Overloaded,
    ServerFailed,
    Unreachable,
    errors,
)
from tests.fakes.failures import Failure, because, not_found
from tests.fakes.fake_service import FakeService
from tests.service.client.conftest import Connect


def test_every_status_has_a_class() -> None:
    assert set(errors.STATUSES) == set(grpc.StatusCode) - {grpc.StatusCode.OK}


def test_every_class_of_the_tree_is_drawn_and_offered() -> None:
    import service.client

    def below(kind: type[ClientError]) -> set[type[ClientError]]:
        return {kind}.union(*(below(child) for child in kind.__subclasses__()))

    for kind in below(ClientError):
        assert kind.__name__ in str(errors.__doc__).split()
        assert kind.__name__ in service.client.__all__


@pytest.mark.parametrize("code", [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK])
def test_every_status_becomes_its_class_with_the_server_s_words(
    client: Client, fake: FakeService, code: grpc.StatusCode
) -> None:
    fake.failures = [Failure(code, "said so", [because("A_REASON")])] * 5
    with pytest.raises(errors.STATUSES[code], match="said so") as caught:
        client.classify("a")
    assert caught.value.reason == "A_REASON"
    assert caught.value.details.code == code.name


def test_what_was_not_found_is_named(client: Client, fake: FakeService) -> None:
    fake.failures = [not_found("model", "nope")]
    with pytest.raises(ModelNotFound) as caught:
        client.translate("a", model="nope")
    assert caught.value.name == "nope"


def test_where_no_server_answers_the_message_says_what_to_do(connect: Connect) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    started = time.monotonic()
    with connect(f"127.0.0.1:{port}", max_attempts=2) as client, pytest.raises(Unreachable) as caught:
        client.translate("a")
    assert str(caught.value) == f"no server answers at 127.0.0.1:{port}; start one with: seqserve serve"
    assert time.monotonic() - started < 15


def test_an_answer_that_lacks_texts_is_the_server_s_fault(
    client: Client, fake: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.client.replies.translations", lambda answer: [])
    with pytest.raises(ServerFailed, match="0 of 1 texts"):
        client.translate("a")


@pytest.mark.parametrize("attempts", [0, 6])
def test_an_impossible_number_of_attempts_is_refused_at_once(attempts: int) -> None:
    with pytest.raises(InvalidRequest, match="to 5 is possible"):
        Client(max_attempts=attempts)


def test_a_call_that_the_server_s_grpc_turned_away_was_not_begun(client: Client, fake: FakeService) -> None:
    fake.failures = [Failure(grpc.StatusCode.CANCELLED, "CANCELLED")] * 5
    with pytest.raises(Overloaded, match="more calls waiting") as caught:
        client.classify("a")
    assert caught.value.retry_after_s > 0
    fake.failures = [Failure(grpc.StatusCode.CANCELLED, "CANCELLED")] * 4
    assert client.classify("a").label  # tried again by itself
