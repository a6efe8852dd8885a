import asyncio
import itertools
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.config import LimitSettings
from service.errors import InvalidInput, NotPossible, OutOfRange, StepFailed, TurnConflict
from service.registry import Served
from service.sessions import Session
from service.tasks.answers import Answer
from service.tasks.conversation import Conversation
from service.tasks.decoding import DecodingOptions, Finish
from service.tasks.kinds import check_streams
from tests.fakes.toy_bundles import SPANISH
from tests.fakes.toy_server import engine_of
from tests.fakes.toy_translator import ToyEngine, translated

LIMITS = LimitSettings(max_text_bytes=1000)


def session_of(served: Served) -> Session:
    return Session("id", "", served, ttl_s=60)


def talk_to(session: Session) -> Conversation:
    return Conversation(session, LIMITS)


async def generated(conversation: Conversation, **options: Any) -> list[Answer]:
    chosen = DecodingOptions(**options)
    return [answer async for answer in conversation.generate(chosen)]


async def text_of(conversation: Conversation, **options: Any) -> str:
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
    assert (await conversation.feed("un")).said.labels == ()
    labels = (await conversation.feed("o ")).said.labels
    assert [(score.label, round(score.probability, 3)) for score in labels] == [
        ("play", 0.5),
        ("stop", 0.375),
        ("ask", 0.125),
    ]
    assert (await conversation.feed("do")).said.labels == labels
    assert (await conversation.feed("s", ends=True)).said.labels[0].label == "ask"
    assert (await conversation.feed("uno ")).said.labels == labels


async def test_a_classifier_does_not_write(classifier: Served) -> None:
    conversation = talk_to(session_of(classifier))
    await conversation.feed("uno ")
    with pytest.raises(NotPossible, match="cannot generate"):
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


async def test_a_feed_that_comes_again_is_answered_and_not_read_again(classifier: Served) -> None:
    session, engine = session_of(classifier), engine_of(classifier)
    first = await talk_to(session).feed("uno dos ", turn=0, input_position=0)
    assert await talk_to(session).feed("uno dos ", turn=0, input_position=0) == first
    assert (engine.rows["classify"], session.standing.input_position) == (1, 2)


async def test_an_output_that_is_asked_for_again_is_the_same_to_the_bit(translator: Served) -> None:
    session, engine = session_of(translator), engine_of(translator)
    await talk_to(session).feed("uno dos tres")
    for options in (DecodingOptions(), DecodingOptions(beam_size=3, num_hypotheses=2)):
        turn = session.log.next_turn
        written = [answer async for answer in talk_to(session).generate(options, turn=turn)]
        rows = engine.rows["step"]
        [again] = [answer async for answer in talk_to(session).generate(options, turn=turn)]
        assert again.tokens == tuple(token for answer in written for token in answer.tokens)
        assert (again.hypotheses, again.turn, engine.rows["step"]) == (written[-1].hypotheses, turn, rows)
        await talk_to(session).feed("cuatro cinco")


async def test_an_output_is_sent_from_a_position_on(translator: Served) -> None:
    session = session_of(translator)
    await talk_to(session).feed("uno dos tres")
    await generated(talk_to(session))
    await talk_to(session).feed("cuatro cinco seis")
    for _ in range(2):  # written, then answered from the log
        answers = [a async for a in talk_to(session).generate(DecodingOptions(), output_position=4, turn=3)]
        assert [token.piece for a in answers for token in a.tokens] == [" five", " six"]
        assert answers[-1].output_position == 6
    await talk_to(session).feed("siete")
    with pytest.raises(OutOfRange, match="from output position 6 on"):
        [a async for a in talk_to(session).generate(DecodingOptions(), output_position=5)]


@pytest.mark.parametrize("beam_size", [1, 2])
async def test_an_output_that_is_cut_off_again_and_again_is_written_in_the_end(
    translator: Served, beam_size: int
) -> None:
    session, alone, engine = session_of(translator), session_of(translator), engine_of(translator)
    options = DecodingOptions(beam_size=beam_size, min_length=4)
    for each in (alone, session):
        await talk_to(each).feed("uno dos tres cuatro cinco")
    *_, undisturbed = await all_of(talk_to(alone).generate(options))
    engine.hold()
    for _ in range(4):
        await cut_off(engine, talk_to(session).generate(options, turn=1, output_position=50), batches=2)
    engine.let_go()
    *_, last = await all_of(talk_to(session).generate(options, turn=1))
    assert last.hypotheses == undisturbed.hypotheses
    assert session.standing.output_position == last.output_position == undisturbed.output_position


async def test_other_options_give_up_what_was_begun(translator: Served) -> None:
    session, engine = session_of(translator), engine_of(translator)
    await talk_to(session).feed("uno dos tres")
    engine.hold()
    await cut_off(engine, talk_to(session).generate(DecodingOptions(), output_position=50), batches=2)
    engine.let_go()
    with pytest.raises(TurnConflict):
        await all_of(talk_to(session).generate(DecodingOptions(max_length=2), turn=1))
    assert await text_of(talk_to(session), max_length=2) == "one two"
    assert session.unfinished is None


async def all_of(answers: AsyncIterator[Answer]) -> list[Answer]:
    return [answer async for answer in answers]


async def cut_off(engine: ToyEngine, answers: AsyncGenerator[Answer, None], batches: int) -> None:
    """Leave an output after so many batches of an engine that is held."""
    reading = asyncio.create_task(all_of(answers))
    engine.let(batches)
    while engine._may_run._value:  # noqa: ASYNC110  # it tells nobody
        await asyncio.sleep(0.001)
    await asyncio.sleep(0.05)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading


async def test_going_back_gives_what_was_there(translator: Served) -> None:
    session = session_of(translator)
    for word in ("uno ", "dos ", "tres "):
        await talk_to(session).feed(word)
    assert (await talk_to(session).rewind(0)).input_position == 1
    assert await text_of(talk_to(session)) == "one"
    await talk_to(session).rewind(2)
    assert await text_of(talk_to(session)) == "one two three"
    first = await talk_to(session).rewind(-1, turn=7)
    assert await talk_to(session).rewind(-1, turn=7) == first
    assert (first.turn, session.log.next_turn, session.standing.input_position) == (7, 8, 0)
