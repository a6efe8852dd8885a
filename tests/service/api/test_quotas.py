"""Quotas: what an owner may use, what it says when he has used it, and that the others do not notice."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2
from hypothesis import given
from hypothesis import strategies as st

from seqserve.v1 import model_pb2, session_pb2
from seqserve.v1 import sequence_pb2 as pb
from service.api.callers import ADMIN, USER
from service.api.quotas import Account, Bucket, Quotas
from service.config import QuotaSettings, Settings
from service.errors import ConfigRefused, QuotaExceeded
from service.metrics import Metrics
from tests.fakes.toy_server import Toys, serve_toys
from tests.fakes.wire import Talk, model, refused

ALICE, BOB = (("seqserve-owner", "alice"),), (("seqserve-owner", "bob"),)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def account_of(clock: Clock, **settings: Any) -> tuple[Account, Quotas]:
    quotas = Quotas(QuotaSettings(**settings), Metrics(), clock)
    account = quotas.account("alice")
    assert account
    return account, quotas


def wait_of(attempt: Callable[[], object], quota: str) -> float:
    with pytest.raises(QuotaExceeded) as error:
        attempt()
    assert error.value.metadata == {"quota": quota}
    return error.value.retry_after_s


def test_requests_are_refused_past_the_burst_and_taken_again_when_it_was_said(clock: Clock) -> None:
    account, _ = account_of(clock, requests_per_s=2, burst_s=5)
    for _ in range(10):
        account.take_request()
    wait_s = wait_of(account.take_request, "requests")
    assert wait_s == pytest.approx(0.5)
    clock.now += wait_s
    account.take_request()
    assert wait_of(account.take_request, "requests") == pytest.approx(0.5)


def test_who_is_refused_pays_nothing(clock: Clock) -> None:
    account, _ = account_of(clock, requests_per_s=1, burst_s=1)
    account.take_request()
    waits = [wait_of(account.take_request, "requests") for _ in range(50)]
    assert waits == pytest.approx([1.0] * 50)


def test_tokens_are_paid_for_afterwards_and_debts_are_waited_for(clock: Clock) -> None:
    account, _ = account_of(clock, tokens_per_s=100, burst_s=1)
    account.take_request()
    account.spend_tokens(350)
    wait_s = wait_of(account.take_request, "tokens")
    assert wait_s == pytest.approx(2.5)
    clock.now += wait_s + 0.001
    account.take_request()


def test_a_slow_rate_still_lets_one_request_in(clock: Clock) -> None:
    account, _ = account_of(clock, requests_per_s=0.01, burst_s=1)
    account.take_request()
    assert wait_of(account.take_request, "requests") == pytest.approx(100)


def test_calls_at_once_are_counted_however_they_end(clock: Clock) -> None:
    account, _ = account_of(clock, max_calls=2)
    with account.call():
        with pytest.raises(KeyError), account.call():
            raise KeyError
        with account.call():
            wait_of(lambda: account.call().__enter__(), "calls")
    assert account.num_calls == 0


@given(
    st.lists(st.tuples(st.floats(0, 100), st.integers(0, 50)), max_size=60),
    st.floats(0.1, 1000),
    st.floats(0.1, 100),
)
def test_a_bucket_never_gives_more_than_its_rate_and_one_burst(
    events: list[tuple[float, int]], rate: float, burst_s: float
) -> None:
    clock = Clock()
    bucket, given_away = Bucket(rate, burst_s, clock), 0
    for pause, wanted in events:
        clock.now += pause
        for _ in range(wanted):
            if bucket.wait_s(1.0):
                break
            bucket.take(1.0)
            given_away += 1
    assert given_away <= clock.now * rate + max(1.0, rate * burst_s) + 1e-6 * (1 + clock.now * rate)


def test_without_limits_there_are_no_accounts(clock: Clock) -> None:
    quotas = Quotas(QuotaSettings(), Metrics(), clock)
    assert quotas.account("alice") is None
    assert len(quotas) == 0


def test_owners_without_number_take_bounded_memory_and_whoever_is_here_is_not_forgotten(
    clock: Clock,
) -> None:
    quotas = Quotas(QuotaSettings(max_calls=1, max_owners=10), Metrics(), clock)
    here = quotas.account("here")
    assert here
    with here.call():
        for number in range(1000):
            quotas.account(f"owner {number}")
            assert len(quotas) <= 10
        assert quotas.account("here") is here
    for number in range(20):
        quotas.account(f"other {number}")
    assert quotas.account("here") is not here


@asynccontextmanager
async def serving(folder: Path, **quotas: Any) -> AsyncIterator[Toys]:
    async with serve_toys(folder, quotas=quotas, server={"trust_owner_header": True}) as toys:
        yield toys


def refusals(toys: Toys, quota: str) -> float:
    registry = toys.server.metrics.registry
    return registry.get_sample_value("seqserve_quota_refused_total", {"quota": quota}) or 0.0


async def list_models(toys: Toys, owner: Any) -> None:
    await toys.models.ListModels(model_pb2.ListModelsRequest(), metadata=owner)


async def test_past_his_quota_an_owner_is_told_when_to_come_again_and_others_are_served(
    tmp_path: Path,
) -> None:
    async with serving(tmp_path, requests_per_s=0.1, burst_s=30) as toys:
        for _ in range(3):
            await list_models(toys, ALICE)
        answer = await refused(list_models(toys, ALICE))
        assert (answer.code, answer.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "QUOTA_EXCEEDED")
        retry = answer.detail(error_details_pb2.RetryInfo).retry_delay
        assert 0 < retry.seconds + retry.nanos / 1e9 <= 10
        assert answer.detail(error_details_pb2.ErrorInfo).metadata["quota"] == "requests"
        await list_models(toys, BOB)
        assert refusals(toys, "requests") == 1


async def test_messages_of_a_stream_are_requests_and_the_session_stays(tmp_path: Path) -> None:
    async with serving(tmp_path, requests_per_s=0.1, burst_s=40) as toys:
        talk = Talk(toys.sequence.Session(metadata=ALICE))
        opened = await talk.say(open=session_pb2.Open(model=model()))
        for _ in range(3):
            await talk.feed("uno ")
        answer = await refused(talk.feed("dos "))
        assert answer.reason == "QUOTA_EXCEEDED"
        assert toys.server.sessions is not None
        later = toys.server.visits.quotas.account("alice")
        assert later
        later._requests = None
        again = Talk(toys.sequence.Session(metadata=ALICE))
        resumed = await again.say(resume=session_pb2.Resume(session_id=opened.session_id))
        assert resumed.input_position == 3


async def test_streams_at_once_are_bounded(tmp_path: Path) -> None:
    async with serving(tmp_path, max_calls=2) as toys:
        talks = [Talk(toys.sequence.Session(metadata=ALICE)) for _ in range(2)]
        for talk in talks:
            await talk.say(open=session_pb2.Open(model=model()))
        answer = await refused(list_models(toys, ALICE))
        assert (answer.reason, refusals(toys, "calls")) == ("QUOTA_EXCEEDED", 1)
        await list_models(toys, BOB)
        await talks[0].leave()
        await list_models(toys, ALICE)


async def test_what_was_read_and_written_counts_as_tokens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whole texts, streams and sessions alike: four read and four written, and a stream's text by its length."""
    counts: list[int] = []
    monkeypatch.setattr(Account, "spend_tokens", lambda account, count: counts.append(count))

    def spent() -> int:
        total = sum(counts)
        counts.clear()
        return total

    text = "uno dos tres cuatro"
    async with serving(tmp_path, tokens_per_s=1) as toys:
        await list_models(toys, ALICE)
        assert spent() == 0
        request = pb.TranslateRequest(model=model(), texts=[text, text])
        await toys.sequence.Translate(request, metadata=ALICE)
        assert spent() == 2 * (4 + 4)
        stream = pb.StreamTranslateRequest(model=model(), text=text)
        async for _ in toys.sequence.StreamTranslate(stream, metadata=ALICE):
            pass
        assert spent() == len(text) // 4 + 4
        talk = Talk(toys.sequence.Session(metadata=ALICE))
        await talk.say(open=session_pb2.Open(model=model()))
        await talk.feed(text)
        await talk.generate()
        await talk.say(rewind=session_pb2.Rewind(after_turn=-1))
        await talk.feed("uno ")
        await talk.leave()
        assert spent() == 4 + 4 + 1


async def test_who_is_in_debt_waits_with_the_next_request(tmp_path: Path) -> None:
    async with serving(tmp_path, tokens_per_s=1, burst_s=2) as toys:
        request = pb.TranslateRequest(model=model(), texts=["uno dos tres cuatro cinco"] * 20)
        await toys.sequence.Translate(request, metadata=ALICE)
        answer = await refused(list_models(toys, ALICE))
        assert answer.detail(error_details_pb2.ErrorInfo).metadata["quota"] == "tokens"
        assert answer.detail(error_details_pb2.RetryInfo).retry_delay.seconds > 60


NAMED = {
    "requests_per_s": 1.0,
    "burst_s": 2.0,
    "owners": {"alice": {"requests_per_s": 4.0}, "robot@example.org": {"requests_per_s": 0.0}},
    "roles": {"admin": {"burst_s": 8.0}},
}


def num_at_once(quotas: Quotas, owner: str, *, admin: bool = False) -> int:
    """How many requests are taken before one is refused; -1 where none is."""
    account = quotas.account(owner, ADMIN if admin else USER)
    if account is None:
        return -1
    for number in range(100):
        try:
            account.take_request()
        except QuotaExceeded:
            return number
    return 100


def test_an_owner_who_is_named_has_quotas_of_his_own_and_a_role_has_its(clock: Clock) -> None:
    quotas = Quotas(QuotaSettings.model_validate(NAMED), Metrics(), clock)
    assert num_at_once(quotas, "bob") == 2
    assert num_at_once(quotas, "alice") == 8
    assert num_at_once(quotas, "robot@example.org") == -1
    assert num_at_once(quotas, "carol", admin=True) == 8
    assert num_at_once(quotas, "alice", admin=True) == 0, "her own count, and are used up"


def test_only_those_may_be_limited_who_are_named(clock: Clock) -> None:
    quotas = Quotas(QuotaSettings.model_validate({"owners": {"": {"max_calls": 1}}}), Metrics(), clock)
    assert quotas.account("alice") is None
    nobody = quotas.account("")
    assert nobody
    with nobody.call():
        wait_of(lambda: nobody.call().__enter__(), "calls")


def test_who_gets_another_role_gets_its_quotas(clock: Clock) -> None:
    quotas = Quotas(QuotaSettings.model_validate(NAMED), Metrics(), clock)
    assert num_at_once(quotas, "dave") == 2
    assert num_at_once(quotas, "dave", admin=True) == 8


def test_owners_are_named_in_the_file_and_in_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text(
        '[quotas.owners."alice@example.org"]\nmax_calls = 3\n[quotas.roles.admin]\nmax_calls = 0\n'
    )
    quotas = Settings.load(file, environment={}).quotas
    assert quotas.owners["alice@example.org"].max_calls == 3
    assert quotas.roles["admin"].max_calls == 0
    environment = {"SEQSERVE_QUOTAS__OWNERS": '{"bob": {"tokens_per_s": 5}}'}
    assert Settings.load(environment=environment).quotas.owners["bob"].tokens_per_s == 5


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[quotas.owners.alice]\nmax_cals = 3\n", "quotas.owners.alice.max_cals"),
        ("[quotas.owners.alice]\nrequests_per_s = -1\n", "quotas.owners.alice.requests_per_s"),
        ("[quotas.roles.guest]\nmax_calls = 1\n", "quotas.roles.guest"),
        ("[quotas.owners]\nalice = 3\n", "quotas.owners.alice"),
    ],
)
def test_a_wrong_quota_is_refused_by_its_name(tmp_path: Path, text: str, told: str) -> None:
    file = tmp_path / "settings.toml"
    file.write_text(text)
    with pytest.raises(ConfigRefused, match=told):
        Settings.load(file, environment={})


async def test_of_two_owners_each_is_held_to_his_own_and_metrics_name_neither(tmp_path: Path) -> None:
    quotas = {"requests_per_s": 0.01, "burst_s": 100.0, "owners": {"alice": {"requests_per_s": 1000.0}}}
    async with serve_toys(tmp_path, server={"trust_owner_header": True}, quotas=quotas) as toys:
        request = model_pb2.ListModelsRequest()
        for _ in range(20):
            await toys.models.ListModels(request, metadata=ALICE)
        await toys.models.ListModels(request, metadata=BOB)
        answer = await refused(toys.models.ListModels(request, metadata=BOB))
        assert (answer.code, answer.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "QUOTA_EXCEEDED")
        samples = [one for family in toys.server.metrics.registry.collect() for one in family.samples]
        assert not any({"alice", "bob"} & set(one.labels.values()) for one in samples)
