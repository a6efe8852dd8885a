"""Sessions of language models: what was read and written is one text, whatever happens in between."""

import asyncio
from collections.abc import Iterator
from contextlib import aclosing
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.bundle.tokenizer import BOS, EOS
from service.config import LimitSettings, SessionSettings
from service.errors import NotPossible
from service.registry import Served
from service.sessions import NOTHING_READ, Session, Standing
from service.sessions.record import from_snapshot, to_snapshot
from service.sessions.snapshot import decode, encode
from service.tasks.conversation import Conversation
from service.tasks.decoding import DecodingOptions, Finish
from service.tasks.generate import generate, stream_generate
from service.tasks.jobs import run
from service.tasks.outputs import Hypothesis
from service.tasks.reader import Reader
from tests.bundles import SENTENCES, write_language_model
from tests.fakes.real_served import counted, real_served

LIMITS = LimitSettings()
TEXT = SENTENCES[0]


@pytest.fixture(scope="module")
def text_model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with real_served(write_language_model(tmp_path_factory.mktemp("models"))) as served:
        yield served


@pytest.fixture(scope="module")
def subword_model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with real_served(write_language_model(tmp_path_factory.mktemp("models"), kind="subwords")) as served:
        yield served


@pytest.fixture(scope="module")
def chat_model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with real_served(write_language_model(tmp_path_factory.mktemp("models"), task="chat", seed=1)) as served:
        yield served


def session_of(served: Served) -> Session:
    return Session("id", "", served, ttl_s=60)


def restored(session: Session) -> Session:
    """As another server finds it in the store."""
    kept = SessionSettings()
    snapshot = decode(encode(to_snapshot(session, kept, 1000.0)))
    return from_snapshot(snapshot, session.id, session.owner, session.served, kept)


async def feed(session: Session, text: str, **more: Any) -> None:
    await Conversation(session, LIMITS).feed(text, **more)


async def written(session: Session, turn: int | None = None, **options: Any) -> Hypothesis:
    chosen = DecodingOptions(**{"max_length": 12} | options)
    answers = [answer async for answer in Conversation(session, LIMITS).generate(chosen, turn=turn)]
    assert answers[-1].hypotheses is not None
    best = answers[-1].hypotheses[0]
    assert tuple(token for answer in answers for token in answer.tokens) == best.tokens
    return best


async def begun(session: Session, num: int, turn: int, **options: Any) -> None:
    """Generate, and leave after so many tokens, or at the end if that comes first."""
    chosen = DecodingOptions(**{"max_length": 12} | options)
    async with aclosing(Conversation(session, LIMITS).generate(chosen, turn=turn)) as answers:
        async for answer in answers:
            if answer.output_position - session.standing.output_position >= num:
                return


def assert_same(one: Standing, other: Standing) -> None:
    assert dict(one.pending or {}) == dict(other.pending or {})
    assert (one.input_position, one.output_position) == (other.input_position, other.output_position)
    assert one.reading.num_tokens == other.reading.num_tokens
    assert one.reading.state.keys() == other.reading.state.keys()
    assert all(
        np.array_equal(one.reading.state[name], other.reading.state[name]) for name in one.reading.state
    )


async def state_after(served: Served, ids: list[int]) -> Any:
    reader = Reader.of(served.manifest, "read")
    return (await run(served.scheduler, reader.read(ids, NOTHING_READ))).reading.state


@given(st.lists(st.integers(0, len(TEXT)), max_size=6), st.booleans())
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    deadline=None,
    max_examples=20,
)
def test_a_text_leads_to_the_same_state_however_it_is_cut(
    text_model: Served, subword_model: Served, cuts: list[int], is_stored: bool
) -> None:
    async def check(served: Served) -> None:
        whole, pieces = session_of(served), session_of(served)
        await feed(whole, TEXT)
        bounds = [0, *sorted(cuts), len(TEXT)]
        for start, stop in pairwise(bounds):
            await feed(pieces, TEXT[start:stop])
            pieces = restored(pieces) if is_stored else pieces
        assert_same(whole.standing, pieces.standing)
        assert await written(whole) == await written(pieces)
        assert_same(whole.standing, pieces.standing)

    for served in (text_model, subword_model):
        asyncio.run(check(served))


@pytest.mark.parametrize(
    "options",
    [{}, {"sampling_topk": 0, "seed": 5, "temperature": 1.5}, {"beam_size": 3}, {"stop": ("e", "o ")}],
    ids=str,
)
@pytest.mark.parametrize("model", ["text_model", "subword_model", "chat_model"])
async def test_a_session_that_is_broken_off_everywhere_is_the_one_that_never_was(
    request: pytest.FixtureRequest, model: str, options: dict[str, Any]
) -> None:
    served: Served = request.getfixturevalue(model)
    whole, broken = session_of(served), session_of(served)
    for number, text in enumerate(SENTENCES):
        await feed(whole, text)
        expected = await written(whole, **options)
        await feed(broken, text[:7])
        broken = restored(broken)
        await feed(broken, text[7:])
        turn = broken.log.next_turn
        for num in (1 + number, 5):
            await begun(broken, num, turn, **options)
            broken = restored(broken)
        assert await written(broken, turn, **options) == expected
        assert_same(whole.standing, broken.standing)


@pytest.mark.parametrize("options", [{}, {"beam_size": 4}, {"sampling_topk": 5, "seed": 1}], ids=str)
async def test_after_an_output_the_state_has_read_it(text_model: Served, options: dict[str, Any]) -> None:
    session = session_of(text_model)
    await feed(session, "the cat")
    best = await written(session, min_length=12, **options)
    ids = [BOS, *text_model.bundle.tokenizer.encode("the cat"), *(token.id for token in best.tokens)]
    expected = await state_after(text_model, ids[:-1])
    assert dict(session.standing.pending or {})["last"] == ids[-1]
    assert session.standing.reading.num_tokens == len(ids) - 1
    for name, array in session.standing.reading.state.items():
        assert np.allclose(array, expected[name], atol=0.1), (
            name
        )  # one token at a time is not as rough as many
        if "beam_size" in options:
            assert np.array_equal(array, expected[name])


async def test_a_text_that_was_cut_by_a_stop_text_goes_on_before_it(text_model: Served) -> None:
    session = session_of(text_model)
    await feed(session, "the cat")
    plain = await written(restored(session), min_length=12)
    stop = plain.text[5:7]
    best = await written(session, min_length=12, stop=(stop,))
    assert best.finish is Finish.STOP
    ids = [BOS, *text_model.bundle.tokenizer.encode("the cat" + best.text)]
    expected = await state_after(text_model, ids[:-1])
    assert all(
        np.array_equal(expected[name], array) for name, array in session.standing.reading.state.items()
    )
    assert dict(session.standing.pending or {})["last"] == ids[-1]


async def test_without_any_input_a_text_is_begun(text_model: Served) -> None:
    session = session_of(text_model)
    best = await written(session)
    [whole] = await generate(text_model, [[]], DecodingOptions(max_length=12))
    assert whole.hypotheses[0] == best
    assert session.standing.input_position == 0


@pytest.mark.parametrize("model", ["text_model", "subword_model", "chat_model"])
async def test_whole_prompts_streams_and_sessions_agree(request: pytest.FixtureRequest, model: str) -> None:
    served: Served = request.getfixturevalue(model)
    options = DecodingOptions(max_length=15, sampling_topk=0, temperature=1.2, seed=7)
    prompts = [served.bundle.tokenizer.encode(text) for text in SENTENCES]
    together = await generate(served, prompts, options)
    for text, prompt, found in zip(SENTENCES, prompts, together, strict=True):
        session = session_of(served)
        await feed(session, text)
        in_session = await written(session, max_length=15, sampling_topk=0, temperature=1.2, seed=7)
        assert found.hypotheses == (in_session,)
        assert found.num_prompt_tokens == len(prompt)
        *_, last = [part async for part in stream_generate(served, prompt, options)]
        assert last.hypotheses == (in_session,)


async def test_words_that_are_written_on_keep_the_space_before_them(subword_model: Served) -> None:
    prompt = subword_model.bundle.tokenizer.encode("the cat")
    [found] = await generate(subword_model, [prompt], DecodingOptions(max_length=20, min_length=20))
    pieces = [subword_model.bundle.tokenizer.piece(token.id) for token in found.hypotheses[0].tokens]
    assert found.hypotheses[0].text == "".join(pieces)


async def test_a_turn_costs_its_own_tokens_and_two_ends_however_long_the_dialogue_is(
    chat_model: Served,
) -> None:
    session, was_cut = session_of(chat_model), False
    for turn in range(30):
        text = SENTENCES[turn % len(SENTENCES)]
        num_said = len(chat_model.bundle.tokenizer.encode(text))
        before = counted(chat_model)
        await feed(session, text)
        reply = await written(session, max_length=8)
        cost = counted(chat_model) - before
        assert cost["read"] == num_said + 1 + was_cut  # BOS, or the last reply's last token and its end
        assert cost["step"] == len(reply.tokens) + (reply.finish is Finish.END)
        was_cut = reply.finish is Finish.LENGTH


async def test_the_state_of_a_dialogue_is_all_that_was_said(chat_model: Served) -> None:
    session, ids = session_of(chat_model), [BOS]
    encode_text = chat_model.bundle.tokenizer.encode
    for text in SENTENCES:
        await feed(session, text)
        reply = await written(session, max_length=8, beam_size=2)  # read again as a whole: equal bit for bit
        ids += [*encode_text(text), EOS, *(token.id for token in reply.tokens), EOS]
    if reply.finish is Finish.LENGTH:
        ids.pop()
    expected = await state_after(chat_model, ids[:-1])
    assert dict(session.standing.pending or {})["last"] == ids[-1]
    assert all(
        np.array_equal(expected[name], array) for name, array in session.standing.reading.state.items()
    )


async def test_nobody_replies_to_nothing(chat_model: Served) -> None:
    session = session_of(chat_model)
    with pytest.raises(NotPossible, match="nothing was said since the last reply"):
        await written(session)
    await feed(session, "hello")
    await written(session)
    with pytest.raises(NotPossible, match="nothing was said"):
        await written(session)
    await feed(session, "the cat ")
    await written(session)


async def test_a_text_that_has_ended_is_followed_by_a_new_one(text_model: Served) -> None:
    session, other = session_of(text_model), session_of(text_model)
    await feed(session, "play some", ends=True)
    await feed(session, "the cat")
    await feed(other, "the cat")
    assert await written(session) == await written(other)


def test_bundles_hold_the_graphs_of_their_task(text_model: Served, tmp_path: Path) -> None:
    assert set(text_model.manifest.graphs) == {"read", "score", "step"}
    assert text_model.manifest.streams
