"""Words get labels, and texts become shorter: bundles from the real exporter, on ONNX Runtime, over the wire."""

import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from service.client import AsyncClient, InvalidRequest, NotPossible, Output, Summary, TaggedWord
from service.config import EngineSettings, Settings
from service.engine.onnx import OnnxEngine
from service.server import Server
from tests.bundles import SENTENCES, write_deleter, write_summarizer, write_tagger

TEXTS = [" ".join(sentence.split()[i:] + sentence.split()[:i]) for sentence in SENTENCES for i in range(3)]
TWO_WAY = {"hidden": 24, "bidirectional": True}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    write_tagger(folder)
    write_tagger(folder, "two-way-slots", encoder=TWO_WAY)
    write_deleter(folder)
    write_summarizer(folder)
    return folder


@asynccontextmanager
async def client_of(models: Path) -> AsyncIterator[AsyncClient]:
    settings = Settings.load(
        flags={"server": {"port": 0}, "models": {"repository": str(models)}}, environment={}
    )
    server = Server(settings, lambda bundle: OnnxEngine(bundle, EngineSettings()))
    await server.start()
    async with AsyncClient(server.address) as client:
        yield client
    await server.drain()


def cut(text: str, seed: int) -> Iterator[str]:
    """The text in pieces of 0 to 6 characters."""
    dice, start = random.Random(seed), 0
    while start < len(text):
        size = dice.randint(0, 6)
        yield text[start : start + size]
        start += size


@pytest.mark.parametrize("model", ["toy-slots", "two-way-slots"])
async def test_a_text_is_labelled_alone_as_among_others_bit_for_bit(models: Path, model: str) -> None:
    async with client_of(models) as client:
        together = await client.tag(TEXTS, model=model)
        assert together == [await client.tag(text, model=model) for text in TEXTS]
        assert len({word.label for tagging in together for word in tagging.words}) > 2
        for text, tagging in zip(TEXTS, together, strict=True):
            assert all(text[word.start : word.end] == word.word for word in tagging.words)
            assert all(text[span.start : span.end] == span.text for span in tagging.spans)
            assert "".join(word.word for word in tagging.words) == text.replace(" ", "")
            assert len(tagging.labels) == 3


@pytest.mark.parametrize("seed", range(3))
async def test_a_text_fed_in_pieces_gets_the_labels_of_the_whole_bit_for_bit(models: Path, seed: int) -> None:
    async with client_of(models) as client, client.session(model="toy-slots") as session:
        for text in TEXTS[seed::3]:
            words: list[TaggedWord] = []
            output: Output | None = None
            for piece in cut(text, seed):
                output = await session.feed(piece)
                words += output.words
            output = await session.feed("", end_of_input=True)
            whole = await client.tag(text, model="toy-slots")
            assert (*words, *output.words) == whole.words
            assert output.labels == whole.labels


async def test_a_word_that_was_begun_is_ended_after_a_resume_and_a_rewind(models: Path) -> None:
    async with client_of(models) as client, client.session(model="toy-slots") as session:
        assert (await session.feed("play some ja")).words[-1].word == "some"
        turn = session.num_turns - 1
        first = await session.feed("zz now ")
        await session.rewind(turn)
        assert (await session.feed("zz now ")).words == first.words
        await session.rewind(turn)
        session.detach()
        again = client.resume(session.session_id)
        assert (await again.feed("zz now ")).words == first.words
        assert [(word.word, word.start, word.end) for word in first.words] == [
            ("jazz", 10, 14),
            ("now", 15, 18),
        ]


async def test_a_model_that_reads_both_ways_says_what_to_do_instead(models: Path) -> None:
    async with client_of(models) as client:
        with pytest.raises(NotPossible, match=r"both directions.*Tag with whole texts"):
            await client.session(model="two-way-slots").feed("play")


async def test_token_ids_have_no_words(models: Path) -> None:
    async with client_of(models) as client, client.session(model="toy-slots") as session:
        with pytest.raises(InvalidRequest, match="it reads text, whose words it labels"):
            await session.feed_ids([5, 6])


async def test_a_shorter_text_is_made_of_the_words_that_stay(models: Path) -> None:
    async with client_of(models) as client:
        together = await client.summarize(TEXTS, model="toy-shorter")
        assert together == [await client.summarize(text, model="toy-shorter") for text in TEXTS]
        for text, summary in zip(TEXTS, together, strict=True):
            assert "".join(summary.text.split()) == "".join(one.word for one in summary.words if one.kept)
            assert all(one.kept == (one.probability > 0.5) for one in summary.words)
            assert "".join(one.word for one in summary.words) == text.replace(" ", "")
        assert {one.kept for summary in together for one in summary.words} == {True, False}


async def test_a_ratio_bounds_what_stays(models: Path) -> None:
    async with client_of(models) as client:
        free = await client.summarize(TEXTS, model="toy-shorter")
        bound = await client.summarize(TEXTS, model="toy-shorter", max_ratio=0.25)
        for before, after in zip(free, bound, strict=True):
            assert kept(after) <= kept(before)
            assert len(kept(after)) <= max(1, 0.25 * len(after.words))


def kept(summary: Summary) -> set[int]:
    return {place for place, word in enumerate(summary.words) if word.kept}


async def test_words_stay_or_fall_while_the_text_comes_in(models: Path) -> None:
    async with client_of(models) as client, client.session(model="toy-shorter") as session:
        whole = await client.summarize(TEXTS[0], model="toy-shorter")
        words: list[TaggedWord] = []
        for piece in cut(TEXTS[0], 1):
            words += (await session.feed(piece)).words
        words += (await session.feed("", end_of_input=True)).words
        assert [(one.word, one.label == "keep") for one in words] == [
            (one.word, one.kept) for one in whole.words
        ]


async def test_a_written_summary_is_the_same_streamed_alone_and_among_others(models: Path) -> None:
    async with client_of(models) as client:
        together = await client.summarize(TEXTS, model="toy-headlines", beam_size=1)
        for text, summary in zip(TEXTS, together, strict=True):
            async with client.stream_summarize(text, model="toy-headlines") as stream:
                pieces = "".join([token.piece async for token in stream])
            assert pieces == summary.text
            assert stream.summary == summary
        assert len({summary.text for summary in together}) > 4


async def test_a_written_summary_of_a_text_in_pieces_is_that_of_the_whole(models: Path) -> None:
    async with client_of(models) as client, client.session(model="toy-headlines") as session:
        for text in TEXTS[::4]:
            for piece in cut(text, 2):
                await session.feed(piece)
            written = await session.generate().finish()
            whole = await client.summarize(text, model="toy-headlines", beam_size=1)
            assert written.hypotheses == whole.hypotheses


async def test_a_deleting_model_has_no_tokens_to_stream(models: Path) -> None:
    async with client_of(models) as client:
        stream = client.stream_summarize(TEXTS[0], model="toy-shorter")
        assert [token async for token in stream] == []
        assert stream.summary == await client.summarize(TEXTS[0], model="toy-shorter")


@pytest.mark.parametrize(
    ("model", "options", "said"),
    [
        ("toy-shorter", {"max_ratio": 1.5}, "max_ratio must be above 0 to 1"),
        ("toy-shorter", {"max_ratio": float("nan")}, "max_ratio must be above 0 to 1"),
        ("toy-shorter", {"beam_size": 4}, "expected max_ratio, not options.beam_size"),
        ("toy-headlines", {"max_ratio": 0.5}, "expected options, not max_ratio"),
    ],
)
async def test_options_that_do_not_fit_the_model_are_refused(
    models: Path, model: str, options: dict[str, float], said: str
) -> None:
    async with client_of(models) as client:
        with pytest.raises(InvalidRequest, match=said):
            await client.summarize("a text", model=model, **options)  # type: ignore[call-overload]


async def test_a_text_too_long_is_refused_or_cut_at_a_word(models: Path) -> None:
    long = "garden " * 300
    async with client_of(models) as client:
        with pytest.raises(InvalidRequest, match="reads at most 200"):
            await client.tag(long, model="toy-slots")
        tagging = await client.tag(long, model="toy-slots", truncate=True)
        assert tagging.num_tokens <= 200
        assert {word.word for word in tagging.words} == {"garden"}
        one = await client.tag("garden" * 300, model="toy-slots", truncate=True)
        assert (len(one.words), one.num_tokens) == (1, 200)
        with pytest.raises(InvalidRequest, match="at least one word"):
            await client.tag(" \n", model="toy-slots")


async def test_a_model_tells_its_labels_of_words_and_of_texts(models: Path) -> None:
    async with client_of(models) as client:
        model = await client.model("toy-slots")
        assert (len(model.labels), len(model.text_labels)) == (5, 3)
        assert {one.name for one in await client.models("summarize")} == {"toy-shorter", "toy-headlines"}
