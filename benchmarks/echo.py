"""limit:transport: a server that says what a real one would say, at once: `python -m benchmarks.echo --port N`.

The messages are of the real size; nothing is tokenized, scheduled or computed for them. Answers to StreamTranslate hold
one token each.
"""

import argparse
import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import grpc
from google.protobuf import duration_pb2

from seqserve.v1 import (
    decoding_pb2,
    model_pb2,
    multiplex_pb2_grpc,
    sequence_pb2,
    sequence_pb2_grpc,
    session_pb2,
)
from service.api import Calls
from service.api.handlers import Handlers
from service.api.multiplex import MultiplexServicer
from service.config import ServerSettings

Context = grpc.aio.ServicerContext[Any, Any]
MODEL = model_pb2.ModelVersion(name="tatoeba-es-en", version="1")


class Echo(sequence_pb2_grpc.SequenceServiceServicer):
    """Answers of `num_tokens` tokens, and of these labels."""

    def __init__(self, labels: Sequence[str], num_tokens: int) -> None:
        self._tokens = [
            decoding_pb2.Token(id=1000 + at, piece=" word", log_prob=-0.5) for at in range(num_tokens)
        ]
        self._hypothesis = decoding_pb2.Hypothesis(
            text=" word" * num_tokens,
            score=-1.0,
            tokens=self._tokens,
            finish_reason=decoding_pb2.FINISH_REASON_END,
        )
        self._labels = [decoding_pb2.LabelScore(label=label, probability=0.125) for label in labels]

    async def Translate(  # noqa: N802  (named by the proto)
        self, request: sequence_pb2.TranslateRequest, context: Context
    ) -> sequence_pb2.TranslateResponse:
        one = sequence_pb2.Translation(hypotheses=[self._hypothesis], num_source_tokens=9)
        return sequence_pb2.TranslateResponse(model=MODEL, translations=[one] * len(request.texts))

    async def StreamTranslate(  # noqa: N802
        self, request: sequence_pb2.StreamTranslateRequest, context: Context
    ) -> AsyncIterator[sequence_pb2.StreamTranslateResponse]:
        answer = sequence_pb2.StreamTranslateResponse
        yield answer(output_position=1, tokens=self._tokens[:1], model=MODEL)
        for at, token in enumerate(self._tokens[1:], 2):
            yield answer(output_position=at, tokens=[token])
        yield answer(
            output_position=len(self._tokens),
            finish_reason=decoding_pb2.FINISH_REASON_END,
            hypotheses=[self._hypothesis],
        )

    async def Classify(  # noqa: N802
        self, request: sequence_pb2.ClassifyRequest, context: Context
    ) -> sequence_pb2.ClassifyResponse:
        one = sequence_pb2.Classification(labels=self._labels, num_tokens=9)
        return sequence_pb2.ClassifyResponse(model=MODEL, classifications=[one] * len(request.texts))

    async def Session(  # noqa: N802
        self, request_iterator: AsyncIterator[session_pb2.SessionRequest], context: Context
    ) -> AsyncIterator[session_pb2.SessionResponse]:
        position = turn = 0
        async for request in request_iterator:
            kind = request.WhichOneof("request")
            if kind == "feed":
                position += len(request.feed.token_ids.ids)
                output = session_pb2.Output(input_position=position, labels=self._labels)
                yield session_pb2.SessionResponse(output=output, turn=turn)
                turn += 1
            elif kind == "open":
                opened = session_pb2.Opened(
                    session_id="0" * 32, model=MODEL, ttl=duration_pb2.Duration(seconds=300)
                )
                opened.durability.mode = session_pb2.DURABILITY_MODE_NONE
                yield session_pb2.SessionResponse(opened=opened)
            else:
                yield session_pb2.SessionResponse(closed=session_pb2.Closed(input_position=position))
                return


class Whole(grpc.aio.ServerInterceptor):
    """Lets every method take and give streams, as those have that are carried many in one."""

    async def intercept_service(self, continuation: Any, handler_call_details: Any) -> Any:
        handler = await continuation(handler_call_details)

        async def answer(requests: AsyncIterator[bytes], context: Any) -> None:
            parsed = (handler.request_deserializer(request) async for request in requests)
            given = parsed if handler.request_streaming else await anext(parsed)
            if handler.response_streaming:
                async for said in (handler.stream_stream or handler.unary_stream)(given, context):
                    await context.write(said)
            else:
                await context.write(await handler.unary_unary(given, context))

        return grpc.stream_stream_rpc_method_handler(answer, None, handler.response_serializer)


async def serve(port: int, labels: Sequence[str], num_tokens: int) -> None:
    """Until the process is ended."""
    server, handlers = grpc.aio.server(), Handlers([Whole()])
    ways: list[Any] = [server, handlers]
    for way in ways:
        sequence_pb2_grpc.add_SequenceServiceServicer_to_server(Echo(labels, num_tokens), way)
    carries = MultiplexServicer(handlers, ServerSettings(), Calls())
    multiplex_pb2_grpc.add_MultiplexServiceServicer_to_server(carries, server)
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await server.wait_for_termination()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--labels", default="AddToPlaylist,BookRestaurant,GetWeather,PlayMusic,RateBook")
    parser.add_argument("--num-tokens", type=int, default=8)
    given = parser.parse_args()
    asyncio.run(serve(given.port, given.labels.split(","), given.num_tokens))


if __name__ == "__main__":
    main()
