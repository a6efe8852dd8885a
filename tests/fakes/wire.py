"""Words for what tests do with a stub."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2

from seqserve.v1 import model_pb2, session_pb2
from seqserve.v1 import sequence_pb2 as pb
from seqserve.v1.decoding_pb2 import DecodingOptions
from tests.fakes.toy_server import Toys


def model(name: str = "toy-es-en", **parts: str) -> model_pb2.ModelSelector:
    return model_pb2.ModelSelector(name=name, **parts)


async def translate(toys: Toys, *texts: str) -> list[str]:
    answer = await toys.sequence.Translate(pb.TranslateRequest(model=model(), texts=texts))
    return [each.hypotheses[0].text for each in answer.translations]


async def stream(toys: Toys, text: str) -> list[pb.StreamTranslateResponse]:
    request = pb.StreamTranslateRequest(model=model(), text=text)
    return [answer async for answer in toys.sequence.StreamTranslate(request)]


class Talk:
    """One stream of the Session RPC."""

    def __init__(self, call: Any) -> None:
        self.call = call

    async def say(self, **request: Any) -> Any:
        """Send a request and take one answer: its opened, output or closed."""
        await self.call.write(session_pb2.SessionRequest(**request))
        return await self.hear()

    async def hear(self) -> Any:
        answer = await self.call.read()
        if answer is grpc.aio.EOF:
            await self.fail()
            return None
        return getattr(answer, answer.WhichOneof("response"))

    async def feed(self, text: str, turn: int | None = None, **parts: Any) -> session_pb2.Output:
        output: session_pb2.Output = await self.say(feed=session_pb2.Feed(text=text, **parts), turn=turn)
        return output

    async def generate(
        self, turn: int | None = None, output_position: int | None = None, **options: Any
    ) -> list[session_pb2.Output]:
        generate = session_pb2.Generate(options=DecodingOptions(**options), output_position=output_position)
        await self.call.write(session_pb2.SessionRequest(generate=generate, turn=turn))
        outputs = [await self.hear()]
        while not outputs[-1].finish_reason:
            outputs.append(await self.hear())
        return outputs

    async def fail(self) -> None:
        """Raise what the call ended with."""
        code = await self.call.code()
        if code is not grpc.StatusCode.OK:
            metadata = grpc.aio.Metadata(), await self.call.trailing_metadata()
            raise grpc.aio.AioRpcError(code, *metadata, details=await self.call.details())

    async def leave(self) -> None:
        """End the stream; the session stays."""
        await self.call.done_writing()
        assert await self.call.read() is grpc.aio.EOF
        await self.fail()


@asynccontextmanager
async def talking(
    toys: Toys, name: str = "toy-es-en", **parts: Any
) -> AsyncIterator[tuple[Talk, session_pb2.Opened]]:
    """A session that is opened, or resumed with `session_id` or `ticket`."""
    talk = Talk(toys.sequence.Session())
    if parts.keys() & {"session_id", "ticket"}:
        opened = await talk.say(resume=session_pb2.Resume(**parts))
    else:
        opened = await talk.say(open=session_pb2.Open(model=model(name), **parts))
    try:
        yield talk, opened
    finally:
        talk.call.cancel()


class Refused:
    """The status that a call ended with, and its details by type."""

    def __init__(self, error: grpc.aio.AioRpcError) -> None:
        self.code = error.code()
        self.message = error.details() or ""
        metadata: Any = error.trailing_metadata()
        self.metadata = dict(metadata)
        self.status = status_pb2.Status.FromString(self.metadata["grpc-status-details-bin"])

    def detail(self, kind: Any) -> Any:
        for packed in self.status.details:
            if packed.Is(kind.DESCRIPTOR):
                detail = kind()
                packed.Unpack(detail)
                return detail
        pytest.fail(f"no {kind.__name__} in {self.status}")

    @property
    def reason(self) -> str:
        info = self.detail(error_details_pb2.ErrorInfo)
        assert info.domain == "seqserve"
        return str(info.reason)

    @property
    def field(self) -> str:
        [violation] = self.detail(error_details_pb2.BadRequest).field_violations
        assert violation.description == self.message
        return str(violation.field)


async def refused(call: Any) -> Refused:
    """What an awaitable call, or a stream read to its end, is refused with."""
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await (_read_all(call) if hasattr(call, "__aiter__") else call)
    return Refused(error.value)


async def _read_all(call: Any) -> None:
    async for _ in call:
        pass
