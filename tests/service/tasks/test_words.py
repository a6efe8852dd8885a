"""A real tagger, in any chunking and any company: the same words, labels and probabilities, bit for bit."""

import asyncio
from collections.abc import Iterator, Sequence
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from service.config import LimitSettings
from service.errors import InvalidInput
from service.registry import Served
from service.sessions import Session
from service.tasks.conversation import Conversation
from service.tasks.said import LabelScore, TaggedWord
from service.tasks.tag import Tagging, tag
from service.tasks.texts import TooLong, cut_texts
from tests.bundles import SLOTS, tagger_run, write_tagger
from tests.fakes.real_served import real_served
from training.export.bundle import write_bundle

LIMITS = LimitSettings(max_text_bytes=2000)
WORDS = [
    "play",
    "jazz",
    "don't",
    "at",
    "10",
    "o'clock",
    "(please)",
    "U.S.-based",
    "図書館",
    "é",
    "!",
    "garden",
]
GAPS = [" ", "  ", "\n", "\t", "\u00a0"]
texts = st.lists(st.tuples(st.sampled_from(WORDS), st.sampled_from(GAPS)), min_size=1, max_size=60).map(
    lambda pairs: "".join(word + gap for word, gap in pairs)
)
"""Up to some 150 tokens: several chunks of a long text."""


@pytest.fixture(scope="module")
def tagger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with real_served(write_tagger(tmp_path_factory.mktemp("models"))) as served:
        yield served


@pytest.fixture(scope="module")
def chained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Of two labels only, and each follows the other."""
    run = tagger_run(chain=True, encoder={"hidden": 24, "bidirectional": True})
    with torch.no_grad():
        run.model.chain.between.copy_(torch.full((len(SLOTS), len(SLOTS)), -40.0))
        run.model.chain.between[0, 1] = run.model.chain.between[1, 0] = 0
    path = write_bundle(run, tmp_path_factory.mktemp("models"), tell=lambda _: None)
    with real_served(path) as served:
        yield served


async def whole(served: Served, *given: str) -> list[Tagging]:
    return await tag(served, await cut_texts(given, served.bundle, LIMITS, TooLong.TRUNCATE))


async def in_pieces(
    served: Served, pieces: Sequence[str]
) -> tuple[tuple[TaggedWord, ...], tuple[LabelScore, ...]]:
    """The words that are said over all feeds, each by a conversation of its own, and the labels at the end."""
    session, words = Session("id", "", served, ttl_s=60), list[TaggedWord]()
    for piece in pieces:
        words += (await Conversation(session, LIMITS).feed(piece)).said.words
    last = await Conversation(session, LIMITS).feed("", ends=True)
    return (*words, *last.said.words), last.said.labels


@settings(max_examples=30)
@given(texts, st.lists(st.integers(0, 400), max_size=12), st.data())
def test_any_cuts_and_any_batch_give_the_same(
    tagger: Served, text: str, cuts: list[int], data: st.DataObject
) -> None:
    edges = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    pieces = [text[start:end] for start, end in pairwise(edges)]
    others = data.draw(st.lists(texts, max_size=3))

    async def check() -> None:
        (alone,) = await whole(tagger, text)
        among, *_ = await whole(tagger, text, *others)
        assert among == alone
        if alone.num_tokens < tagger.manifest.limits.max_input_tokens:
            assert await in_pieces(tagger, pieces) == (alone.words, alone.labels)

    asyncio.run(check())


@settings(max_examples=15)
@given(st.lists(texts, min_size=2, max_size=4))
def test_labels_that_are_chosen_together_are_the_same_in_any_batch(chained: Served, given: list[str]) -> None:
    async def check() -> None:
        assert await whole(chained, *given) == [(await whole(chained, text))[0] for text in given]

    asyncio.run(check())


async def test_labels_that_are_chosen_together_follow_what_may_follow(chained: Served) -> None:
    (tagging,) = await whole(chained, "play jazz at 10 o'clock don't play jazz at 10 (please)")
    labels = [word.label for word in tagging.words]
    assert len(set(labels)) == len(labels[:2]) == 2
    assert all(one != other for one, other in pairwise(labels))
    assert all(0 < word.probability <= 1 for word in tagging.words)


async def test_a_word_without_end_is_refused_and_the_session_stands_where_it_stood(tagger: Served) -> None:
    session = Session("id", "", tagger, ttl_s=60)
    await Conversation(session, LIMITS).feed("play ja")
    with pytest.raises(InvalidInput, match="a word without end"):
        await Conversation(session, LIMITS).feed("z" * 1999)
    answer = await Conversation(session, LIMITS).feed("zz ")
    assert [word.word for word in answer.said.words] == ["jazz"]


async def test_the_next_text_counts_its_characters_anew(tagger: Served) -> None:
    session = Session("id", "", tagger, ttl_s=60)
    await Conversation(session, LIMITS).feed("play jazz", ends=True)
    answer = await Conversation(session, LIMITS).feed("at 10", ends=True)
    assert [(word.word, word.start) for word in answer.said.words] == [("at", 0), ("10", 3)]
