"""Bundles from the real exporter, on ONNX Runtime, over the wire."""

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest

from seqserve.v1 import model_pb2, sequence_pb2_grpc, session_pb2
from seqserve.v1 import sequence_pb2 as pb
from seqserve.v1.decoding_pb2 import DecodingOptions
from service.config import EngineSettings, Settings
from service.engine.onnx import OnnxEngine
from service.errors import SeqserveError
from service.server import Server
from service.step import Step, Told
from tests.bundles import SENTENCES, write_classifier, write_translator
from tests.fakes.wire import Talk

ONE_WAY = {"hidden": 24, "bidirectional": False}
TEXTS = [" ".join(sentence.split()[i:] + sentence.split()[:i]) for sentence in SENTENCES for i in range(4)]
"""16 texts of different lengths."""


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    write_translator(folder)
    write_translator(folder, "one-way", encoder=ONE_WAY)
    write_classifier(folder)
    return folder


class Holding:
    """A job that holds the scheduler's thread until it is let go."""

    def __init__(self) -> None:
        self.gate = threading.Event()

    def begin(self) -> Sequence[Step]:
        assert self.gate.wait(30)
        return ()

    def advance(self, told: Told) -> Sequence[Step]:
        raise AssertionError("it asked for nothing")

    def fail(self, error: SeqserveError) -> None:
        self.gate.set()


@dataclass
class Running:
    server: Server
    stub: Any

    async def text(self, text: str, model: str, **options: Any) -> tuple[str, float]:
        request = pb.TranslateRequest(
            model=model_pb2.ModelSelector(name=model), texts=[text], options=DecodingOptions(**options)
        )
        best = (await self.stub.Translate(request)).translations[0].hypotheses[0]
        return best.text, best.score

    async def streamed(self, text: str, model: str) -> tuple[str, float]:
        request = pb.StreamTranslateRequest(model=model_pb2.ModelSelector(name=model), text=text)
        answers = [answer async for answer in self.stub.StreamTranslate(request)]
        pieces = "".join(token.piece for answer in answers for token in answer.tokens)
        assert pieces == answers[-1].hypotheses[0].text
        return pieces, answers[-1].hypotheses[0].score

    def talk(self) -> Talk:
        return Talk(self.stub.Session())


@asynccontextmanager
async def serving(models: Path) -> AsyncIterator[Running]:
    settings = Settings.load(
        flags={"server": {"port": 0}, "models": {"repository": str(models)}}, environment={}
    )
    server = Server(settings, lambda bundle: OnnxEngine(bundle, EngineSettings()))
    await server.start()
    async with grpc.aio.insecure_channel(server.address) as channel:
        yield Running(server, sequence_pb2_grpc.SequenceServiceStub(channel))
    await server.drain()


async def test_64_streams_at_once_are_each_as_alone_and_share_batches(models: Path) -> None:
    async with serving(models) as running:
        alone = [await running.streamed(text, "toy-es-en") for text in TEXTS]
    async with serving(models) as running:
        scheduler, holding = running.server.registry.find("toy-es-en").scheduler, Holding()
        scheduler.submit(holding)
        together = [asyncio.create_task(running.streamed(text, "toy-es-en")) for text in TEXTS * 4]
        while len(scheduler._active) < 65:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.001)
        holding.gate.set()
        assert await asyncio.gather(*together) == alone * 4
        assert running.server.metrics.mean_batch_size("toy-es-en/1", "step") > 32


@pytest.mark.parametrize("model", ["toy-es-en", "one-way"])
async def test_streams_batches_and_single_texts_agree(models: Path, model: str) -> None:
    async with serving(models) as running:
        request = pb.TranslateRequest(model=model_pb2.ModelSelector(name=model), texts=TEXTS)
        answer = await running.stub.Translate(request)
        together = [(each.hypotheses[0].text, each.hypotheses[0].score) for each in answer.translations]
        assert together == [await running.text(text, model) for text in TEXTS]
        assert together == [await running.streamed(text, model) for text in TEXTS]
        assert len(set(together)) > 4


async def test_a_beam_finds_no_less_than_greedy_search_on_the_whole(models: Path) -> None:
    async with serving(models) as running:
        greedy = [await running.text(text, "toy-es-en", length_penalty=0) for text in TEXTS]
        wide = [await running.text(text, "toy-es-en", length_penalty=0, beam_size=8) for text in TEXTS]
        assert sum(score for _, score in wide) >= sum(score for _, score in greedy)


@pytest.mark.parametrize("size", [1, 3, 1000])
async def test_a_text_fed_in_pieces_is_translated_as_at_once(models: Path, size: int) -> None:
    async with serving(models) as running:
        talk = running.talk()
        await talk.say(open=session_pb2.Open(model=model_pb2.ModelSelector(name="one-way")))
        for text in TEXTS[::5]:
            for start in range(0, len(text), size):
                await talk.feed(text[start : start + size])
            best = (await talk.generate())[-1].hypotheses[0]
            assert (best.text, best.score) == await running.text(text, "one-way")
        talk.call.cancel()


async def test_a_text_labelled_word_by_word_ends_with_the_labels_of_the_whole(models: Path) -> None:
    async with serving(models) as running:
        talk = running.talk()
        await talk.say(open=session_pb2.Open(model=model_pb2.ModelSelector(name="toy-intents")))
        for text in TEXTS[::3]:
            for word in text.split():
                await talk.feed(f" {word}")
            output = await talk.feed("", end_of_input=True)
            whole = await running.stub.Classify(pb.ClassifyRequest(texts=[text]))
            assert list(output.labels) == list(whole.classifications[0].labels)
        talk.call.cancel()


@pytest.mark.parametrize("text", ["▁", "\u200b", "図書館", "🙂" * 50, "\x00a", "<s> </s> <pad>", "é" * 100])
async def test_odd_texts_crash_nothing(models: Path, text: str) -> None:
    async with serving(models) as running:
        for call in (
            running.text(text, "one-way"),
            running.stub.Classify(pb.ClassifyRequest(texts=[text])),
        ):
            try:
                await call
            except grpc.aio.AioRpcError as error:
                assert error.code() is grpc.StatusCode.INVALID_ARGUMENT  # noqa: PT017 - both ways are fine
        assert await running.text("the cat", "one-way")
