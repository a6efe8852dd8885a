"""naive: the service that people write by hand: `python -m benchmarks.naive --port N --translator BUNDLE`.

grpc.aio; one `session.run` for each request, in the handler; the state of a conversation in a dict; a call for each
token. Of `Begin` (a text, encoded), `Next` (a token), `Feed` (a subword in, labels out) and `Translate` (a whole text).
"""

import argparse
import asyncio
import uuid
from pathlib import Path
from typing import Any

import grpc
import numpy as np

from benchmarks.bare import Arrays, BareLoop
from benchmarks.naive_wire import SERVICE
from seqserve.v1 import decoding_pb2, sequence_pb2, session_pb2
from service.bundle.tokenizer import BOS, EOS

Context = grpc.aio.ServicerContext[Any, Any]


class Naive:
    """Two models and a dict."""

    def __init__(self, translator: BareLoop | None, classifier: BareLoop | None) -> None:
        self._translator = translator
        self._classifier = classifier
        self._states: dict[str, Arrays] = {}

    def handlers(self) -> grpc.GenericRpcHandler:
        """What it answers to."""
        methods = {
            "Begin": _unary(self.begin, sequence_pb2.StreamTranslateRequest.FromString),
            "Next": _unary(self.next, session_pb2.Resume.FromString),
            "Feed": _unary(self.feed, session_pb2.Feed.FromString),
            "Translate": _unary(self.translate, sequence_pb2.TranslateRequest.FromString),
        }
        return grpc.method_handlers_generic_handler(SERVICE, methods)

    async def begin(
        self, request: sequence_pb2.StreamTranslateRequest, context: Context
    ) -> session_pb2.Opened:
        key = uuid.uuid4().hex
        self._states[key] = self._encoded(request.text)
        return session_pb2.Opened(session_id=key)

    async def next(self, request: session_pb2.Resume, context: Context) -> decoding_pb2.Token:
        return self._step(self._states[request.session_id])

    async def feed(self, request: session_pb2.Feed, context: Context) -> session_pb2.Output:
        assert self._classifier
        key = next(value for name, value in context.invocation_metadata() or () if name == "conversation")
        state = self._states.get(str(key)) or first_state(self._classifier)
        tokens = np.array([list(request.token_ids.ids)], np.int64)
        given = state | {"tokens": tokens, "lengths": np.array([tokens.shape[1]])}
        self._states[str(key)] = state = self._classifier.run("classify", given)
        names, probabilities = self._classifier.bundle.labels, np.exp(state["log_probs"][0])
        best = np.argsort(-probabilities)
        labels = [decoding_pb2.LabelScore(label=names[i], probability=probabilities[i]) for i in best]
        return session_pb2.Output(labels=labels)

    async def translate(
        self, request: sequence_pb2.TranslateRequest, context: Context
    ) -> decoding_pb2.Hypothesis:
        state = self._encoded(request.texts[0])
        tokens = [self._step(state) for _ in range(request.options.max_length)]
        return decoding_pb2.Hypothesis(text="".join(token.piece for token in tokens), tokens=tokens)

    def _encoded(self, text: str) -> Arrays:
        assert self._translator
        ids = [*self._translator.bundle.tokenizer.encode(text), EOS]
        encoded = self._translator.encode_rows(np.array([ids], np.int64), np.array([len(ids)]))
        return encoded | {"token": np.array([BOS]), "k": np.array(1)}

    def _step(self, state: Arrays) -> decoding_pb2.Token:
        assert self._translator
        state |= self._translator.run("step", state)
        state["token"] = state["top_tokens"][:, 0]
        token = int(state["token"][0])
        piece = self._translator.bundle.tokenizer.piece(token)
        return decoding_pb2.Token(id=token, piece=piece, log_prob=float(state["top_log_probs"][0, 0]))


def first_state(classifier: BareLoop) -> Arrays:
    """Before the first subword."""
    return {
        tensor.name: np.full((1, *map(int, tensor.axes[1:])), tensor.initial, tensor.dtype)
        for tensor in classifier.bundle.manifest.graphs["classify"].inputs
        if tensor.role == "state"
    }


def _unary(method: Any, read: Any) -> Any:
    return grpc.unary_unary_rpc_method_handler(
        method, request_deserializer=read, response_serializer=lambda answer: answer.SerializeToString()
    )


async def serve(port: int, naive: Naive) -> None:
    """Until the process is ended."""
    server = grpc.aio.server()
    server.add_generic_rpc_handlers([naive.handlers()])
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await server.wait_for_termination()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--translator", type=Path, help="bundle")
    parser.add_argument("--classifier", type=Path, help="bundle")
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    loops = [BareLoop(path, given.threads) if path else None for path in (given.translator, given.classifier)]
    asyncio.run(serve(given.port, Naive(*loops)))


if __name__ == "__main__":
    main()
