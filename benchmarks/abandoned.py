"""What calls leave behind in a server when their callers leave: `python -m benchmarks.abandoned`, about six minutes.

Each way of leaving a call is gone a thousand times a round, in seqserve and in an echo server, which is gRPC's Python
and nothing else, with messages of the same size; what either server's process has grown by is divided by the calls. A
stream that is read to its end shows what is no leak; the first ten thousand of those fill pools and do not count.
"""

import asyncio
import re
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import grpc
import typer

from benchmarks import options
from benchmarks.figures import Figure
from benchmarks.overload_wire import INITIAL_WINDOW, asked
from benchmarks.processes import Running, resident_bytes, running_module, running_server
from benchmarks.report import Column, Report, Row, publish
from benchmarks.soak import environment
from seqserve.v1 import model_pb2, sequence_pb2_grpc
from seqserve.v1.sequence_pb2 import StreamTranslateRequest
from seqserve.v1.session_pb2 import Feed, Open, SessionRequest

TEXT = "Le dije que no tenía dinero, y no me creyó."
AT_ONCE = 8
UNREAD_S = 0.1
"""How long somebody who reads nothing stays: his answer lies there by then."""
WARM_UP = 10
"""Rounds of streams that are read to their ends, before anything counts."""
SETTLING_S = 3.0
"""How long a server has to forget, before it is looked at: sessions live for a second here."""
COLUMNS = [
    Column("way", "what the caller does"),
    Column("ours", "seqserve, bytes a call", spread=True),
    Column("blocks", "Python's blocks a call", "{:.2f}", spread=True),
    Column("bare", "gRPC alone, bytes a call", spread=True),
]


@dataclass(frozen=True)
class Caller:
    """Ways to make one call of a server."""

    address: str
    stub: "sequence_pb2_grpc.SequenceServiceAsyncStub"
    translation: StreamTranslateRequest
    classifier: str

    def ways(self) -> dict[str, Callable[[], Awaitable[None]]]:
        return {
            "reads a stream to its end": self.read,
            "leaves a stream after its first token": self.left,
            "leaves a session after its first answer": self.session,
            "asks for a stream, reads nothing, hangs up": self.unread,
        }

    async def read(self) -> None:
        async for _ in self.stub.StreamTranslate(self.translation):
            pass

    async def left(self) -> None:
        call = self.stub.StreamTranslate(self.translation)
        await call.read()
        call.cancel()

    async def session(self) -> None:
        call = self.stub.Session()
        await call.write(SessionRequest(open=Open(model=model_pb2.ModelSelector(name=self.classifier))))
        await call.read()
        await call.write(SessionRequest(feed=Feed(text="play ")))
        await call.read()
        call.cancel()

    async def unread(self) -> None:
        method = "/seqserve.v1.SequenceService/StreamTranslate"
        request = self.translation.SerializeToString()
        ask = partial(asked, self.address, method, request, {INITIAL_WINDOW: 0})
        peer = await asyncio.to_thread(ask)
        await asyncio.sleep(UNREAD_S)
        peer.close()


def main(
    calls: Annotated[int, typer.Option(min=1, help="Calls of a kind in a round.")] = 1000,
    rounds: options.Rounds = 3,
    models: options.Models = Path("models"),
    model: options.Translator = "tatoeba-es-en",
    classifier: options.Classifier = "snips-intents",
    quick: options.Quick = False,
    out: options.Out = None,
) -> None:
    """Measure and print a table in Markdown."""
    if quick:
        calls, rounds = 10, 1
    with (
        environment({"SEQSERVE_SESSIONS__DEFAULT_TTL_S": "1"}),
        running_server(models, arguments=["--log-level", "error"]) as ours,
        running_module("benchmarks.echo") as bare,
    ):
        rows = asyncio.run(measured(ours, bare, model, classifier, calls, rounds))
    notes = [
        f"medians of {rounds} rounds of {calls:,} calls, {AT_ONCE} at a time, lowest and highest in brackets",
        f"{WARM_UP * calls:,} streams that were read went before, and a round of each",
        "bytes: of resident memory; a server remembers the last 10,000 sessions that are over",
    ]
    publish([Report("What callers who leave leave behind", COLUMNS, rows, notes)], out)


async def measured(
    ours: Running, bare: Running, model: str, classifier: str, calls: int, rounds: int
) -> list[Row]:
    rows: list[Row] = []
    translation = StreamTranslateRequest(model=model_pb2.ModelSelector(name=model), text=TEXT)
    async with (
        caller(ours, translation, classifier) as with_us,
        caller(bare, translation, classifier) as with_it,
    ):
        for served, with_either in ((ours, with_us), (bare, with_it)):
            await growth(served, with_either.read, WARM_UP * calls)
        for (way, call_us), call_it in zip(with_us.ways().items(), with_it.ways().values(), strict=True):
            grown = [await growth(ours, call_us, calls) for _ in range(rounds + 1)][1:]
            alone = [await growth(bare, call_it, calls) for _ in range(rounds + 1)][1:]
            rows.append(
                {
                    "way": way,
                    "ours": Figure.of(num_bytes for num_bytes, _ in grown),
                    "blocks": Figure.of(blocks for _, blocks in grown),
                    "bare": Figure.of(num_bytes for num_bytes, _ in alone),
                }
            )
    return rows


@asynccontextmanager
async def caller(
    served: Running, translation: StreamTranslateRequest, classifier: str
) -> AsyncIterator[Caller]:
    async with grpc.aio.insecure_channel(served.address) as channel:
        stub: sequence_pb2_grpc.SequenceServiceAsyncStub = sequence_pb2_grpc.SequenceServiceStub(channel)
        yield Caller(served.address, stub, translation, classifier)


async def growth(served: Running, call: Callable[[], Awaitable[None]], calls: int) -> tuple[float, float]:
    """Bytes and blocks by which the server has grown for each of so many calls."""
    before = held(served)
    waiting = iter(range(calls))

    async def some() -> None:
        for _ in waiting:
            await call()

    await asyncio.gather(*(some() for _ in range(AT_ONCE)))
    await asyncio.sleep(SETTLING_S)
    after = held(served)
    return (after[0] - before[0]) / calls, (after[1] - before[1]) / calls


def held(served: Running) -> tuple[float, float]:
    """Bytes of resident memory, and Python's blocks where the server tells of them."""
    num_bytes = resident_bytes(served.process.pid)
    if not served.metrics:
        return num_bytes, 0.0
    page = urllib.request.urlopen(served.metrics, timeout=30).read().decode()
    return num_bytes, float(re.findall(r"^seqserve_memory_blocks (\S+)$", page, re.M)[0])


if __name__ == "__main__":
    typer.run(main)
