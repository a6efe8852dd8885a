"""Many sessions of one client process: opened and left behind, and taken up again."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Sequence
from itertools import chain, cycle, islice

import grpc
from rich.progress import track

from seqserve.v1 import model_pb2, sequence_pb2_grpc
from seqserve.v1.session_pb2 import Close, Feed, Fork, Open, Resume, SessionRequest, SessionResponse
from service.client import AsyncClient

AT_ONCE = 64
WORDS = ("play", "some", "jazz", "music", "on", "the", "radio", "please", "cat", "garden", "dog", "mat")


async def opened(address: str, model: str, number: int, forks: int, what: str) -> list[str]:
    """Ids of so many new sessions: each stream opens one, feeds it a word, forks it so often, and ends."""
    words = random.Random(0)

    async def requests() -> AsyncIterator[SessionRequest]:
        yield SessionRequest(open=Open(model=model_pb2.ModelSelector(name=model)))
        yield SessionRequest(feed=Feed(text=words.choice(WORDS) + " "))
        for _ in range(forks):
            yield SessionRequest(fork=Fork())

    async with grpc.aio.insecure_channel(address) as channel:
        stub = sequence_pb2_grpc.SequenceServiceStub(channel)

        async def some() -> list[str]:
            answers = [answer async for answer in stub.Session(requests())]
            assert len(answers) == 2 + forks
            return [answers[0].opened.session_id, *(answer.forked.session_id for answer in answers[2:])]

        ids: list[str] = []
        each = AT_ONCE * (1 + forks)
        for _ in track(range(0, number, each), f"opening sessions ({what})"):
            ids += chain.from_iterable(await asyncio.gather(*(some() for _ in range(AT_ONCE))))
        return ids


async def resumed(address: str, ids: Sequence[str]) -> list[float]:
    """Seconds from the resume of each session to the answer that says where it stands, one after the other."""
    seconds = []
    async with grpc.aio.insecure_channel(address) as channel:
        stub = sequence_pb2_grpc.SequenceServiceStub(channel)
        for session_id in ids:
            call, began = stub.Session(), time.perf_counter()
            await call.write(SessionRequest(resume=Resume(session_id=session_id)))
            answer = await call.read()
            seconds.append(time.perf_counter() - began)
            assert isinstance(answer, SessionResponse)
            assert answer.opened.next_turn > 0
            await call.write(SessionRequest(close=Close()))
            await call.read()
            await call.done_writing()
    return seconds


async def streamed(
    address: str, model: str, number: int, sentences: list[str], seconds: float
) -> tuple[float, list[float]]:
    """So many streams of translations, one after the other each: tokens per second, seconds between tokens."""
    between: list[float] = []
    begin, num_tokens = time.perf_counter(), 0
    async with AsyncClient(address) as client:

        async def stream_on(start: int) -> None:
            nonlocal num_tokens
            for sentence in islice(cycle(sentences), start, None):
                if time.perf_counter() - begin > seconds:
                    return
                async with client.stream_translate(sentence, model=model) as tokens:
                    last = None
                    async for _ in tokens:
                        now = time.perf_counter()
                        between.extend([] if last is None else [now - last])
                        num_tokens, last = num_tokens + 1, now

        await asyncio.gather(*(stream_on(start) for start in range(number)))
    return num_tokens / (time.perf_counter() - begin), between
