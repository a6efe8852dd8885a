"""A session over the async client.

When its stream breaks, the session looks for a server again, takes itself up and sends what the server has not got:
no answer is lost and none comes twice. A request that the server refuses changes nothing.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Self, TypeVar, Unpack

from seqserve.v1.session_pb2 import Output as OutputMessage
from seqserve.v1.session_pb2 import SessionRequest, SessionResponse
from service.client import replies, requests, signals
from service.client.addresses import Ways
from service.client.errors import Cancelled, ClientError, NotPossible
from service.client.exchange import AsyncExchange
from service.client.options import Decoding
from service.client.outputs import Output
from service.client.results import Ticket
from service.client.signals import Pcm, Readings
from service.client.streams import AsyncTokenStream
from service.client.talk import Begin, Effect, Manner, Program, Receive, Send, Talk, Wait

if TYPE_CHECKING:
    from seqserve.v1.sequence_pb2_grpc import SequenceServiceAsyncStub

R = TypeVar("R")


class AsyncSession(Talk):
    """A session over the async client; a context manager that closes it at the end.

    `detach` leaves it on the server instead, for `AsyncClient.resume`, until its time to live is over.
    """

    def __init__(
        self,
        ways: "Ways[SequenceServiceAsyncStub]",
        opening: SessionRequest,
        timeout: float | None,
        manner: Manner,
    ) -> None:
        super().__init__(opening, timeout, manner)
        self._ways = ways
        self._exchange: AsyncExchange | None = None

    async def feed(self, text: str, *, end_of_input: bool = False, timeout: float | None = None) -> Output:
        """Give the model more text, cut anywhere: the last word is held back until white space, or the end of input.

        After `end_of_input` the next feed begins a new text.
        """
        return await self._feed(requests.feed(text, end_of_input), timeout)

    async def feed_features(
        self, readings: Readings, *, end_of_input: bool = False, timeout: float | None = None
    ) -> Output:
        """Give a model of numbers more readings `[time][dim]`: the output has a step for each."""
        return await self._feed(signals.feed_features(readings, end_of_input), timeout)

    async def feed_pcm(
        self, pcm: bytes | Pcm, *, end_of_input: bool = False, timeout: float | None = None
    ) -> Output:
        """Give a model that hears more sound, cut anywhere between two samples: the output has what was heard in it."""
        return await self._feed(signals.feed_pcm(pcm, end_of_input), timeout)

    async def end_input(self, *, timeout: float | None = None) -> Output:
        """End the text, the sound or the series with nothing more: what was held back is read."""
        return await self._feed(signals.end_of_input(), timeout)

    async def feed_ids(
        self, ids: Sequence[int], *, end_of_input: bool = False, timeout: float | None = None
    ) -> Output:
        """Give the model token ids of its own vocabulary."""
        return await self._feed(requests.feed_ids(ids, end_of_input), timeout)

    def generate(self, *, timeout: float | None = None, **decoding: Unpack[Decoding]) -> AsyncTokenStream:
        """End the input and let the model write, once the stream is read; `timeout` bounds the wait for each message.

        Tokens come as they are made, unless a beam is asked for (the default is greedy). Until the last has been read,
        or the stream cancelled, the session takes nothing else.
        """
        outputs = self._outputs(requests.generate(decoding), timeout)
        return AsyncTokenStream(outputs, self._stop_writing, self.model)

    async def rewind(self, after_turn: int, *, timeout: float | None = None) -> None:
        """Go back to where the session stood after a turn (`num_turns - 1` then); -1 is the beginning."""
        await self._run(self._turn(requests.rewind(after_turn), timeout))

    async def fork(self) -> "AsyncSession":
        """Open another session that stands where this one stands."""
        forked = (await self._run(self._aside(requests.fork(), "forked"))).forked
        ways, resume = self._ways.again(), requests.resume(forked.session_id)
        session = AsyncSession(ways, resume, self._default_timeout, self._manner)
        return await session.__aenter__()

    async def snapshot(self) -> None:
        """Have the server put the session into its store now."""
        await self._run(self._aside(requests.snapshot(), "snapshotted"))

    async def ticket(self, ttl_s: float | None = None) -> Ticket:
        """The session as sealed bytes for `AsyncClient.resume`: good for `ttl_s`, and until the session goes on."""
        answer = await self._run(self._aside(requests.ticket(ttl_s), "snapshotted"))
        return replies.ticket(answer.snapshotted)

    async def keep_alive(self) -> None:
        """Start the time to live again."""
        await self._run(self._aside(requests.keep_alive(), "kept_alive"))

    async def close(self) -> None:
        """End the session; the server forgets its state. Closing twice does nothing."""
        if not self.closed:
            self._stop_writing()
            await self._run(self._closing())
            self.closed = True
            if self._exchange is not None:
                await self._exchange.end()
            self.detach()

    def detach(self) -> None:
        """Leave the stream but not the session: it waits on the server until its time to live is over."""
        if self._exchange is not None:
            self._exchange.leave()
        self._exchange, self._writing = None, False

    async def __aenter__(self) -> Self:
        await self._run(self._connected())
        return self

    async def __aexit__(self, *_: object) -> None:
        with suppress(ClientError):  # what cannot be closed ends with its time to live
            await self.close()
        self.detach()

    async def _feed(self, request: SessionRequest, timeout: float | None) -> Output:
        answer = await self._run(self._turn(request, timeout))
        return replies.output(answer.output)

    async def _outputs(self, request: SessionRequest, timeout: float | None) -> AsyncIterator[OutputMessage]:
        output = (await self._run(self._turn(request, timeout))).output
        while not output.finish_reason:
            self._writing = True
            yield output
            self._writing = False
            output = (await self._run(self._more(timeout))).output
        yield output

    def _stop_writing(self) -> None:
        if self._writing:
            self.detach()

    def _has_stream(self) -> bool:
        return self._exchange is not None

    async def _run(self, program: Program[R]) -> R:
        try:
            effect = next(program)
            while True:
                try:
                    result = await self._do(effect)
                except BaseException as error:
                    effect = program.throw(error)
                else:
                    effect = program.send(result)
        except StopIteration as end:
            answer: R = end.value
            return answer
        except ClientError as error:
            if not isinstance(error, NotPossible):  # which says that the session is still writing
                self._leave()
            raise

    async def _do(self, effect: Effect) -> SessionResponse | None:
        match effect:
            case Send(request):
                await self._held().send(request)
            case Receive(timeout):
                return await self._receive(timeout)
            case Wait(seconds):
                await asyncio.sleep(seconds)
            case Begin(request, timeout, elsewhere):
                return await self._begin(request, timeout, elsewhere)
        return None

    async def _begin(
        self, request: SessionRequest, timeout: float | None, elsewhere: bool
    ) -> SessionResponse:
        self._leave()
        stub, address, affinity = self._ways.next(elsewhere)
        with self._manner.gates[address].opening(is_new=self._is_new(request)):
            self._exchange = AsyncExchange(stub, address, affinity)
            await self._exchange.send(request)
            return await self._receive(timeout)

    async def _receive(self, timeout: float | None) -> SessionResponse:
        exchange = self._held()
        try:
            return await exchange.receive(timeout)
        except BaseException:
            self._held()  # who detached meanwhile meant it
            self._leave()
            raise

    def _held(self) -> AsyncExchange:
        if self._exchange is None:
            raise Cancelled("the session's stream was left while it was read")
        return self._exchange

    def _leave(self) -> None:
        if self._exchange is not None:
            self._exchange.leave()
        self._exchange = None
