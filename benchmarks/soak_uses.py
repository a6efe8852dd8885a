"""How a server is used and misused while it soaks: each kind of use does one round of it, again and again."""

import asyncio
import os
import random
import signal
import socket
import struct
import subprocess
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field

import grpc

from benchmarks.overload_wire import INITIAL_WINDOW, asked
from benchmarks.sentences import REQUESTS, SENTENCES
from seqserve.v1 import model_pb2, model_pb2_grpc
from seqserve.v1.sequence_pb2 import StreamTranslateRequest
from service.client import AsyncClient, ClientError, Overloaded, channel

SERVICE = "/seqserve.v1.SequenceService/"
BURST = 200
REFUSED = "deadlines of milliseconds", "refused requests"
"""Kinds of use that are meant to come to nothing."""


@dataclass
class Users:
    """All who use one server."""

    address: str
    translator: str
    classifier: str
    spare: str
    """A model that is loaded and unloaded all the time."""
    store: int = 0
    """The process of the store, which is stopped now and then; 0 where there is none."""
    gone_s: float = 2.5
    """How long it takes at most until the last sessions of a model that is unloaded are gone."""
    chance: random.Random = field(default_factory=lambda: random.Random(0))
    num_done: Counter[str] = field(default_factory=Counter)
    num_well: Counter[str] = field(default_factory=Counter)
    """Rounds to whose end nobody was refused anything."""
    num_failed: Counter[str] = field(default_factory=Counter)

    async def use(self, seconds: float) -> None:
        """Everything at once, for so long."""
        over = asyncio.get_running_loop().time() + seconds
        async with AsyncClient(self.address) as self.client:
            rounds = [self._again(name, use, pause_s, over) for name, (use, pause_s) in self.kinds().items()]
            await asyncio.gather(*rounds)

    def kinds(self) -> dict[str, tuple[Callable[[], Awaitable[None]], float]]:
        """Name → (one round, the mean pause before it in seconds)."""
        kinds: dict[str, tuple[Callable[[], Awaitable[None]], float]] = {
            "texts": (self.texts, 0.1),
            "streams": (self.streams, 0.1),
            "streams left in the middle": (self.left, 0.2),
            "sessions": (self.sessions, 0.1),
            "sessions left to expire": (self.forgotten, 0.2),
            "deadlines of milliseconds": (self.hasty, 0.2),
            "refused requests": (self.wrong, 0.3),
            "bursts": (self.bursts, 5.0),
            "connections reset": (self.resets, 0.5),
            "readers who do not read": (self.blind, 1.0),
            "clients killed": (self.killed, 20.0),
            "models loaded and unloaded": (self.models, 4.0),
        }
        if self.store:
            kinds["store away"] = (self.store_away, 20.0)
        return kinds

    async def texts(self) -> None:
        texts = self.chance.sample(SENTENCES, self.chance.randint(1, 6))
        await self.client.translate(texts, model=self.translator, beam_size=self.chance.choice((1, 4)))

    async def streams(self) -> None:
        async with self.client.stream_translate(self._sentence(), model=self.translator) as tokens:
            async for _ in tokens:
                pass

    async def left(self) -> None:
        async with self.client.stream_translate(self._sentence(), model=self.translator) as tokens:
            async for _ in tokens:
                return

    async def sessions(self) -> None:
        """Open, feed, fork, rewind, leave, resume, close."""
        session = self.client.session(model=self.classifier, ttl_s=5.0)
        try:
            for word in self._request().split():
                await session.feed(word + " ")
            fork = await session.fork()
            await fork.feed("again ", end_of_input=True)
            await fork.close()
            await session.rewind(1)
            await session.snapshot()
        finally:
            session.detach()
        async with self.client.resume(session.session_id) as resumed:
            await resumed.feed(self._request(), end_of_input=True)

    async def forgotten(self) -> None:
        session = self.client.session(model=self.classifier, ttl_s=5.0)
        try:
            await session.feed(self._request())
            (await session.fork()).detach()
        finally:
            session.detach()

    async def hasty(self) -> None:
        await self.client.translate(
            self._sentence(), model=self.translator, timeout=self.chance.uniform(0.001, 0.05)
        )

    async def wrong(self) -> None:
        await self.client.translate("", model=self.translator)

    async def bursts(self) -> None:
        calls = [
            self.client.classify(self._request(), model=self.classifier, timeout=5.0) for _ in range(BURST)
        ]
        for found in await asyncio.gather(*calls, return_exceptions=True):
            if isinstance(found, ClientError):
                self.num_failed[f"bursts: {type(found).__name__}"] += 1

    async def resets(self) -> None:
        """TCP's RST in the middle of a stream."""
        peer = await asyncio.to_thread(self._peer, {})
        await asyncio.sleep(self.chance.uniform(0, 0.05))
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        peer.close()

    async def blind(self) -> None:
        """Asks for a stream and lets nothing of it in, until the server has enough of him, or a while after."""
        peer = await asyncio.to_thread(self._peer, {INITIAL_WINDOW: 0})
        await asyncio.sleep(self.chance.uniform(1, 8))
        peer.close()

    async def killed(self) -> None:
        """A client's process, by kill -9, while it streams."""
        command = [sys.executable, "-m", "benchmarks.soak_uses", self.address, self.translator]
        process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
        assert process.stdout
        await process.stdout.readline()
        await asyncio.sleep(self.chance.uniform(0, 1))
        process.kill()
        await process.wait()

    async def models(self) -> None:
        """Unload and load again. Where a round was turned away between the two, the next one loads."""
        options = channel.options([self.address], channel.MAX_ATTEMPTS)
        async with grpc.aio.insecure_channel(self.address, options=options) as wire:
            stub: model_pb2_grpc.ModelServiceAsyncStub = model_pb2_grpc.ModelServiceStub(wire)
            try:
                await stub.UnloadModel(model_pb2.UnloadModelRequest(name=self.spare, version="1"))
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.NOT_FOUND:
                    raise
            await asyncio.sleep(self.gone_s)
            await stub.LoadModel(model_pb2.LoadModelRequest(name=self.spare, version="1"))
        await self.client.classify(self._request(), model=self.spare)

    async def store_away(self) -> None:
        os.kill(self.store, signal.SIGSTOP)
        try:
            await asyncio.sleep(3.0)
        finally:
            os.kill(self.store, signal.SIGCONT)

    def hardly_done(self) -> list[str]:
        """What was refused more often than not, so that it was hardly tried, though it ought to be answered."""
        return [
            f"{name}: {self.num_done[name] - self.num_well[name]} of {self.num_done[name]} rounds were refused"
            for name in self.kinds()
            if name not in REFUSED and 2 * self.num_well[name] < self.num_done[name]
        ]

    async def _again(
        self, name: str, use: Callable[[], Awaitable[None]], pause_s: float, over: float
    ) -> None:
        loop = asyncio.get_running_loop()
        while True:
            pause = self.chance.expovariate(1 / pause_s)
            if loop.time() + pause > over:
                return
            await asyncio.sleep(pause)
            try:
                await use()
            except (ClientError, grpc.RpcError, OSError) as error:
                self.num_failed[f"{name}: {_word(error)}"] += 1
            else:
                self.num_well[name] += 1
            self.num_done[name] += 1

    def _peer(self, settings: dict[int, int]) -> socket.socket:
        """A connection that has asked for a stream."""
        request = StreamTranslateRequest(
            model=model_pb2.ModelSelector(name=self.translator), text=self._sentence()
        )
        return asked(self.address, SERVICE + "StreamTranslate", request.SerializeToString(), settings)

    def _sentence(self) -> str:
        return self.chance.choice(SENTENCES)

    def _request(self) -> str:
        return self.chance.choice(REQUESTS)


def _word(error: Exception) -> str:
    return error.code().name if isinstance(error, grpc.aio.AioRpcError) else type(error).__name__


async def _stream_for_ever(address: str, model: str) -> None:
    """What the process does that is killed."""
    async with AsyncClient(address) as client:
        while True:
            with suppress(Overloaded):
                async with client.stream_translate(SENTENCES[0], model=model) as tokens:
                    async for _ in tokens:
                        print(flush=True)


if __name__ == "__main__":
    asyncio.run(_stream_for_ever(*sys.argv[1:3]))
