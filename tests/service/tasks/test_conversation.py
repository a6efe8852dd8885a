import asyncio
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.config import LimitSettings
from service.errors import InvalidInput, NotPossible, OutOfRange, StepFailed
from service.registry import Served
from service.sessions import Session
from service.tasks.conversation import Answer, Conversation, check_streams
from service.tasks.decoding import DecodingOptions, Finish
from tests.fakes.toy_bundles import SPANISH
from tests.fakes.toy_server import engine_of
from tests.fakes.toy_translator import translated

LIMITS = LimitSettings(max_text_bytes=1000)


def session_of(served: Served) -> Session:
    return Session("id", "", served, ttl_s=60)


def talk_to(session: Session) -> Conversation:
    return Conversation(session, LIMITS)


async def generated(conversation: Conversation, **options: int) -> list[Answer]:
    chosen = DecodingOptions(**options)
    return [answer async for answer in conversation.generate(chosen)]


async def text_of(conversation: Conversation, **options: int) -> str:
    *_, last = await generated(conversation, **options)
    assert last.hypotheses is not None
    return last.hypotheses[0].text


async def test_text_in_pieces_is_written_as_text_at_once(translator: Served) -> None:
    session = session_of(translator)
    for piece in ["un", "o dos tr", "es", " ", "cuatro"]:
        await talk_to(session).feed(piece)
    answers = await generated(talk_to(session))
    assert "".join(token.piece for answer in answers for token in answer.tokens) == "one two three four"
    assert answers[-1].hypotheses is not None
    assert answers[-1].hypotheses[0].finish is Finish.END


async def test_positions_count_what_was_read_and_written(translator: Served) -> None:
    conversation = talk_to(session_of(translator))
    assert (await conversation.feed("uno dos tr")).input_position == 2
    *_, last = await generated(conversation)
    assert (last.input_position, last.output_position) == (3, 3)
    fed = await conversation.feed("cinco seis ")
    assert (fed.input_position, fed.output_position) == (5, 3)


async def test_a_new_text_begins_after_an_output(translator: Served) -> None:
    conversation = talk_to(session_of(translator))
    for text in ("uno dos", "tres", "cuatro cinco seis"):
        await conversation.feed(text)
        assert await text_of(conversation) == translated(text)


async def test_a_text_that_has_ended_can_be_written_and_the_next_feed_begins_another(
    translator: Served,
) -> None:
    conversation = talk_to(session_of(translator))
    assert (await conversation.feed("uno do", ends=True)).input_position == 2
    await conversation.feed("tres", ends=True)
    assert await text_of(conversation) == "three"


async def test_the_end_may_come_alone(translator: Served) -> None:
    conversation = talk_to(session_of(translator))
    await conversation.feed("uno do")
    await conversation.feed("s")
    assert (await conversation.feed(None, ends=True)).input_position == 2
    assert await text_of(conversation) == "one two"


async def test_nothing_fed_cannot_be_written(translator: Served) -> None:
    conversation = talk_to(session_of(translator))
    for text in ("", "  ", None):
        await conversation.feed(text, ends=True)
        with pytest.raises(NotPossible, match="nothing was fed"):
            await generated(conversation)
    await conversation.feed("uno")
    await generated(conversation)
    with pytest.raises(NotPossible, match="nothing was fed"):
        await generated(conversation)


async def test_a_classifier_labels_the_text_so_far(classifier: Served) -> None:
    conversation = talk_to(session_of(classifier))
    assert (await conversation.feed("un")).labels == ()
    labels = (await conversation.feed("o ")).labels
    assert [(score.label, round(score.probability, 3)) for score in labels] == [
        ("play", 0.5),
        ("stop", 0.375),
        ("ask", 0.125),
    ]
    assert (await conversation.feed("do")).labels == labels
    assert (await conversation.feed("s", ends=True)).labels[0].label == "ask"
    assert (await conversation.feed("uno ")).labels == labels


async def test_a_classifier_does_not_write(classifier: Served) -> None:
    conversation = talk_to(session_of(classifier))
    await conversation.feed("uno ")
    with pytest.raises(NotPossible, match="labels text and cannot generate"):
        await generated(conversation)


async def test_token_ids_are_read_as_they_are(translator: Served) -> None:
    conversation = talk_to(session_of(translator))
    await conversation.feed("un")
    assert (await conversation.feed([5, 6])).input_position == 3
    assert await text_of(conversation) == "ten two three"


@pytest.mark.parametrize("token", [-1, 0, 1, 2, 24, 2**31 - 1])
async def test_ids_that_are_no_token_of_text_are_refused(translator: Served, token: int) -> None:
    session = session_of(translator)
    await talk_to(session).feed("uno dos")
    before = session.standing
    with pytest.raises(InvalidInput, match="expected ids from 3 to 23") as refused:
        await talk_to(session).feed([4, token])
    assert refused.value.field == "feed.token_ids"
    assert session.standing == before


async def test_a_position_that_is_not_the_sessions_is_refused(translator: Served) -> None:
    session = session_of(translator)
    await talk_to(session).feed("uno dos ", input_position=0)
    before = session.standing
    with pytest.raises(OutOfRange, match="stands at input position 2, not 0"):
        await talk_to(session).feed("tres ", input_position=0)
    assert session.standing is before
    await talk_to(session).feed("tres ", input_position=2)


async def test_a_text_has_a_limit_and_what_was_fed_stays(translator: Served) -> None:
    session = session_of(translator)
    await talk_to(session).feed("uno " * 19)
    before = session.standing
    with pytest.raises(InvalidInput, match=r"would have 21 tokens.*reads at most 20"):
        await talk_to(session).feed("dos dos ")
    assert session.standing is before
    await talk_to(session).feed("dos")
    assert await text_of(talk_to(session), max_length=40) == translated("uno " * 19 + "dos")


async def test_the_last_word_counts_to_the_limit(translator: Served) -> None:
    session = session_of(translator)
    await talk_to(session).feed("uno " * 20 + "dos")
    with pytest.raises(InvalidInput, match="would have 21 tokens"):
        await generated(talk_to(session))


async def test_texts_that_are_labelled_have_no_end(classifier: Served) -> None:
    conversation = talk_to(session_of(classifier))
    for _ in range(20):
        await conversation.feed("uno dos " * 100)
    assert (await conversation.feed("uno ")).input_position == 4001


async def test_a_word_without_end_is_refused(classifier: Served) -> None:
    conversation = talk_to(session_of(classifier))
    await conversation.feed("a" * 1000)
    with pytest.raises(InvalidInput, match="word without end"):
        await conversation.feed("a")


async def test_a_feed_that_fails_changes_nothing(translator: Served) -> None:
    session = session_of(translator)
    await talk_to(session).feed("uno do")
    before = session.standing
    with pytest.raises(StepFailed):
        await talk_to(session).feed("s diez ")
    assert session.standing is before
    await talk_to(session).feed("s")
    assert await text_of(talk_to(session)) == "one two"


async def test_a_feed_whose_caller_leaves_changes_nothing(translator: Served) -> None:
    session, engine = session_of(translator), engine_of(translator)
    await talk_to(session).feed("uno ")
    before = session.standing
    engine.hold()
    caller = asyncio.create_task(talk_to(session).feed("dos "))
    await asyncio.to_thread(engine.running.wait)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    engine.let_go()
    assert session.standing is before
    assert await text_of(talk_to(session)) == "one"


async def test_an_output_whose_reader_leaves_can_be_written_again(translator: Served) -> None:
    session, engine = session_of(translator), engine_of(translator)
    await talk_to(session).feed("uno dos tres")
    before = session.standing
    engine.hold()
    engine.let(3)  # the last word is read, two are written
    answers = talk_to(session).generate(DecodingOptions())
    await anext(answers)
    await answers.aclose()
    engine.let_go()
    assert session.standing is before
    *_, last = await generated(talk_to(session))
    assert last.hypotheses is not None
    assert (last.hypotheses[0].text, last.output_position) == ("one two three", 3)


async def test_lone_surrogates_are_refused(translator: Served) -> None:
    with pytest.raises(InvalidInput, match="lone surrogate") as refused:
        await talk_to(session_of(translator)).feed("uno \udfff")
    assert refused.value.field == "feed.text"


def test_a_model_that_reads_both_ways_says_why_it_cannot_be_fed(translator: Served) -> None:
    both_ways = {"streams": False, "why_not_streaming": "its encoder reads both ways"}
    with pytest.raises(NotPossible, match=r"its encoder reads both ways\. Use Translate or StreamTranslate"):
        check_streams(translator.manifest.model_copy(update=both_ways))


@given(
    words=st.lists(st.sampled_from(SPANISH[:9]), min_size=1, max_size=8),
    cuts=st.lists(st.integers(0, 40)),
    ends=st.booleans(),
)
def test_however_the_text_is_cut_the_output_is_the_same(
    shared_translator: Served, words: list[str], cuts: list[int], ends: bool
) -> None:
    text = " ".join(words)
    bounds = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]

    async def talk() -> str:
        conversation = talk_to(session_of(shared_translator))
        for start, end in itertools.pairwise(bounds):
            await conversation.feed(text[start:end])
        if ends:
            await conversation.feed(None, ends=True)
        return await text_of(conversation)

    assert asyncio.run(talk()) == translated(text)
