"""Many calls in one stream, their frames written by hand."""

from collections import defaultdict
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2

from seqserve.v1 import sequence_pb2 as pb
from seqserve.v1 import session_pb2
from seqserve.v1.decoding_pb2 import DecodingOptions
from seqserve.v1.multiplex_pb2 import Begin, Ended, Frame, Header, MultiplexRequest
from seqserve.v1.multiplex_pb2_grpc import MultiplexServiceStub
from service.multiplex.window import cost_of
from tests.fakes.toy_server import Toys, serve_toys
from tests.fakes.wire import model

SERVICE = "/seqserve.v1.SequenceService"
TRANSLATE, STREAM, SESSION = f"{SERVICE}/Translate", f"{SERVICE}/StreamTranslate", f"{SERVICE}/Session"
MULTIPLEX = "/seqserve.v1.MultiplexService/Multiplex"
WORDS = ("uno", "dos", "tres")
LONG = "uno dos tres " * 3


class Line:
    """A stream of frames, written by hand."""

    def __init__(self, channel: grpc.aio.Channel, metadata: Any = ()) -> None:
        stub: Any = MultiplexServiceStub(channel)
        self.stream = stub.Multiplex(metadata=metadata)
        self.messages: dict[int, list[bytes]] = defaultdict(list)
        self.credit: dict[int, int] = defaultdict(int)
        self.ended: dict[int, Ended] = {}

    async def say(self, *frames: Frame) -> None:
        await self.stream.write(MultiplexRequest(frames=frames))

    async def begin(self, call: int, method: str, message: Any = None, **parts: Any) -> None:
        frame = Frame(call=call, begin=Begin(method=method, **parts))
        if message is not None:
            frame.message, frame.half_close = message.SerializeToString(), True
        await self.say(frame)

    async def hear(self) -> None:
        """What comes next, of whichever call."""
        answer = await self.stream.read()
        assert answer is not grpc.aio.EOF
        for frame in answer.frames:
            if frame.HasField("message"):
                self.messages[frame.call].append(frame.message)
            self.credit[frame.call] += frame.credit
            if frame.HasField("ended"):
                assert frame.call not in self.ended, "it ended twice"
                self.ended[frame.call] = frame.ended

    def cost_of(self, call: int) -> int:
        """What its answers have taken of the window."""
        return sum(map(cost_of, self.messages[call]))

    async def end_of(self, call: int) -> grpc.StatusCode:
        """How a call ends."""
        while call not in self.ended:
            await self.hear()
        return next(code for code in grpc.StatusCode if code.value[0] == self.ended[call].code)

    async def refusal(self) -> grpc.StatusCode:
        """How the whole stream ends."""
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await self._hear_on()
        return error.value.code()

    async def _hear_on(self) -> None:
        while True:
            await self.hear()


@asynccontextmanager
async def lined(folder: Path, **settings: Any) -> AsyncIterator[tuple[Toys, Line]]:
    async with serve_toys(folder, **settings) as toys:
        line = Line(toys.channel)
        yield toys, line
        line.stream.cancel()


def opening() -> bytes:
    return session_pb2.SessionRequest(open=session_pb2.Open(model=model())).SerializeToString()


def asks(*texts: str) -> pb.TranslateRequest:
    return pb.TranslateRequest(model=model(), texts=texts)


def asks_for_stream(text: str, **options: Any) -> pb.StreamTranslateRequest:
    return pb.StreamTranslateRequest(model=model(), text=text, options=DecodingOptions(**options))


def shows(metadata: Iterable[tuple[str, str]]) -> list[Header]:
    """Headers of a carried call."""
    return [Header(key=key, value=value.encode()) for key, value in metadata]


def reason_of(ended: Ended) -> str:
    """Why a carried call was refused, as in the ErrorInfo of its status."""
    [packed] = [each.value for each in ended.trailers if each.key == "grpc-status-details-bin"]
    info = error_details_pb2.ErrorInfo()
    found = [detail.Unpack(info) for detail in status_pb2.Status.FromString(packed).details]
    assert any(found)
    return str(info.reason)
