"""Writing while the source comes in, on graphs of the real exporter."""

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from service.bundle.tokenizer import BOS, EOS
from service.bundle.waiting import word_starts
from service.config import LimitSettings, SessionSettings
from service.errors import InvalidInput, NotPossible
from service.registry import Served
from service.sessions import Session
from service.sessions.record import from_snapshot, to_snapshot
from service.sessions.snapshot import decode, encode
from service.tasks.answers import Answer
from service.tasks.conversation import Conversation
from service.tasks.decoding import DecodingOptions
from service.tasks.outputs import Hypothesis, Token
from service.tasks.simultaneous import Policy
from service.tasks.translate import translate
from tests.bundles import interpreter_run
from tests.fakes.real_served import real_served
from training.data.waiting import visible
from training.export.bundle import write_bundle
from training.export.run import Run

LIMITS = LimitSettings(max_text_bytes=1000)
TEXT = "the cat ¿Dónde está la biblioteca? jazz music I don't know"


@pytest.fixture(scope="module")
def run() -> Run[Any, Any]:
    return interpreter_run(seed=3, export={"precision": "fp32"})


@pytest.fixture(scope="module")
def served(run: Run[Any, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = write_bundle(run, tmp_path_factory.mktemp("models"), tell=lambda _: None)
    with real_served(folder) as served:
        yield served


def session_of(served: Served, wait: int) -> Session:
    policy = Policy.of(served.manifest, wait, DecodingOptions(max_length=30))
    return Session("id", "", served, ttl_s=60, manner={"simultaneous": policy.to_json()})


async def interpreted(session: Session, pieces: Sequence[str]) -> list[Answer]:
    """Answers to each piece, and to the end of the text."""
    talk = Conversation(session, LIMITS)
    answers = [await talk.feed(piece) for piece in pieces]
    return [*answers, await talk.feed(None, ends=True)]


def whole(answers: Sequence[Answer]) -> Hypothesis:
    assert answers[-1].hypotheses is not None
    return answers[-1].hypotheses[0]


def all_tokens(answers: Sequence[Answer]) -> tuple[Token, ...]:
    return tuple(token for answer in answers for token in answer.tokens)


@settings(max_examples=25, deadline=None)
@given(cuts=st.sets(st.integers(1, len(TEXT) - 1)), wait=st.sampled_from([1, 2, 5]))
async def test_what_is_written_does_not_depend_on_how_the_source_was_cut(
    served: Served, cuts: set[int], wait: int
) -> None:
    places = [0, *sorted(cuts), len(TEXT)]
    pieces = [TEXT[a:b] for a, b in itertools.pairwise(places)]
    in_pieces = await interpreted(session_of(served, wait), pieces)
    at_once = await interpreted(session_of(served, wait), [TEXT])
    assert whole(in_pieces) == whole(at_once)
    assert all_tokens(in_pieces) == whole(at_once).tokens == all_tokens(at_once)


@pytest.mark.parametrize("wait", [1, 3])
async def test_a_target_word_comes_when_enough_source_words_have(served: Served, wait: int) -> None:
    starts, session = word_starts(served.bundle.tokenizer), session_of(served, wait)
    talk, begun = Conversation(session, LIMITS), 0
    for num_read, word in enumerate(TEXT.split(), 1):
        answer = await talk.feed(word + " ")
        begun += sum(bool(starts[token.id]) for token in answer.tokens)
        assert begun <= max(0, num_read - wait + 1)
    assert begun > 3


@pytest.mark.parametrize("wait", [1, 2, 4, 100])
async def test_each_token_was_chosen_from_what_training_shows_of_the_source(
    served: Served, run: Run[Any, Any], wait: int
) -> None:
    found = whole(await interpreted(session_of(served, wait), [TEXT]))
    ids = [token.id for token in found.tokens]
    tokenizer = served.bundle.tokenizer
    source = torch.tensor([[*tokenizer.encode(TEXT), EOS]])
    wanted, lengths = torch.tensor([ids]), torch.tensor([source.shape[1]])
    given_tokens = torch.tensor([[BOS, *ids[:-1]]])
    mask = visible(source, wanted, torch.from_numpy(word_starts(tokenizer)), wait)
    with torch.no_grad():
        logits = run.model.output(run.model.readouts(source, lengths, given_tokens, mask))
    logits[..., [0, 1, 3]] = -1e9  # what the graphs never write
    expected = torch.log_softmax(logits, -1).gather(-1, wanted[..., None])[0, :, 0]
    assert len(ids) > 5
    np.testing.assert_allclose([token.log_prob for token in found.tokens], expected, atol=1e-4)


async def test_who_waits_for_the_whole_source_writes_what_greedy_search_writes(served: Served) -> None:
    found = whole(await interpreted(session_of(served, 100), [TEXT]))
    ids = served.bundle.tokenizer.encode(TEXT)
    [translation] = await translate(served, [ids], DecodingOptions(max_length=30))
    [best] = translation.hypotheses
    assert (best.text, best.score, best.finish) == (found.text, found.score, found.finish)


async def test_a_session_goes_on_from_its_snapshot_after_any_word(served: Served) -> None:
    at_once = whole(await interpreted(session_of(served, 2), [TEXT]))
    session, tokens = session_of(served, 2), list[Token]()
    for piece in [TEXT[start : start + 7] for start in range(0, len(TEXT), 7)]:
        tokens += (await Conversation(session, LIMITS).feed(piece)).tokens
        bytes_of_it = encode(to_snapshot(session, SessionSettings(), 0.0))
        session = from_snapshot(decode(bytes_of_it), "id", "", served, SessionSettings())
    last = await Conversation(session, LIMITS).feed(None, ends=True)
    assert whole([last]) == at_once
    assert (*tokens, *last.tokens) == at_once.tokens
    assert last.output_position == len(at_once.tokens)


async def test_a_turn_that_comes_again_is_answered_as_before_and_can_be_gone_back_to(served: Served) -> None:
    session = session_of(served, 1)
    talk = Conversation(session, LIMITS)
    first = await talk.feed(TEXT[:20], turn=0)
    then = await talk.feed(TEXT[20:], ends=True, turn=1)
    assert first.tokens
    assert then.hypotheses
    assert await talk.feed(TEXT[:20], turn=0) == first
    assert await talk.feed(TEXT[20:], ends=True, turn=1) == then
    await talk.rewind(0)
    again = await talk.feed(TEXT[20:], ends=True)
    assert (again.tokens, again.hypotheses) == (then.tokens, then.hypotheses)


async def test_the_next_text_begins_anew(served: Served) -> None:
    session = session_of(served, 2)
    first = await interpreted(session, [TEXT])
    second = await interpreted(session, [TEXT[:30], TEXT[30:]])
    assert whole(first) == whole(second)
    assert second[-1].output_position == 2 * len(whole(first).tokens)


async def test_an_end_without_a_text_is_no_output(served: Served) -> None:
    [answer] = await interpreted(session_of(served, 2), [])
    assert answer.tokens == ()
    assert answer.hypotheses is None


async def test_what_the_session_cannot_do_is_said(served: Served) -> None:
    talk = Conversation(session_of(served, 2), LIMITS)
    with pytest.raises(InvalidInput, match="it reads text, whose words it counts"):
        await talk.feed([7, 8])
    await talk.feed("a" * 999)
    with pytest.raises(InvalidInput, match="a word without end"):
        await talk.feed("aa")
    with pytest.raises(NotPossible, match="what it has to say comes with each feed"):
        await anext(talk.generate(DecodingOptions()))


def test_a_policy_is_checked(served: Served) -> None:
    with pytest.raises(InvalidInput, match="wait_k must be 1 to 100 words, not 0"):
        Policy.of(served.manifest, 0, DecodingOptions())
    with pytest.raises(InvalidInput, match="max_length and length_penalty are for it"):
        Policy.of(served.manifest, 3, DecodingOptions(beam_size=4))
    plain = served.manifest.model_copy(update={"simultaneous": False})
    with pytest.raises(NotPossible, match="was not trained to write while the source comes in"):
        Policy.of(plain, 3, DecodingOptions())
