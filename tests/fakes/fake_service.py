"""A seqserve server without models, for tests of clients: it speaks the whole wire and can be told to fail.

Translation is capitals, a token per word: `hola mundo` → `HOLA MUNDO`. A text is a `question` when it has a question
mark, else a `statement`, with probability 0.75.
"""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NoReturn

import grpc
from google.protobuf import any_pb2
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from seqserve.v1 import model_pb2_grpc, sequence_pb2_grpc
from seqserve.v1.decoding_pb2 import FINISH_REASON_END, Hypothesis, LabelScore, Token
from seqserve.v1.model_pb2 import (
    TASK_CLASSIFY,
    TASK_TRANSLATE,
    DescribeModelRequest,
    DescribeModelResponse,
    GenerationDefaults,
    ListModelsRequest,
    ListModelsResponse,
    ModelDescription,
    ModelVersion,
)
from seqserve.v1.sequence_pb2 import (
    Classification,
    ClassifyRequest,
    ClassifyResponse,
    StreamTranslateRequest,
    StreamTranslateResponse,
    TranslateRequest,
    TranslateResponse,
    Translation,
)
from seqserve.v1.session_pb2 import Closed, Feed, Opened, Output, SessionRequest, SessionResponse

TRANSLATOR = ModelVersion(name="capitals", version="2")
CLASSIFIER = ModelVersion(name="questions", version="1")
REFUSED = "REFUSED"
"""A text with this word is answered with INVALID_ARGUMENT."""


@dataclass
class Failure:
    """A status to answer with, instead of an answer."""

    code: grpc.StatusCode
    message: str = "told to fail"
    details: Sequence[Message] = ()

    def abort(self, context: grpc.ServicerContext) -> NoReturn:
        packed = [any_pb2.Any() for _ in self.details]
        for into, detail in zip(packed, self.details, strict=True):
            into.Pack(detail)
        code = code_pb2.Code.Value(self.code.name)
        status = status_pb2.Status(code=code, message=self.message, details=packed)
        context.abort_with_status(rpc_status.to_status(status))
        raise AssertionError("abort raises")


def because(reason: str) -> error_details_pb2.ErrorInfo:
    return error_details_pb2.ErrorInfo(reason=reason, domain="seqserve")


def overloaded(retry_after_s: float) -> Failure:
    delay = Duration(nanos=int(retry_after_s * 1e9))
    retry = error_details_pb2.RetryInfo(retry_delay=delay)
    return Failure(grpc.StatusCode.RESOURCE_EXHAUSTED, "the queue is full", [because("OVERLOADED"), retry])


def wrong(path: str, message: str) -> Failure:
    violation = error_details_pb2.BadRequest.FieldViolation(field=path, description=message)
    request = error_details_pb2.BadRequest(field_violations=[violation])
    return Failure(grpc.StatusCode.INVALID_ARGUMENT, message, [because("INVALID_INPUT"), request])


def not_found(kind: str, name: str) -> Failure:
    resource = error_details_pb2.ResourceInfo(resource_type=kind, resource_name=name)
    reason = because(f"{kind.upper()}_NOT_FOUND")
    return Failure(grpc.StatusCode.NOT_FOUND, f"no {kind} {name!r}; there are others", [reason, resource])


@dataclass
class Conversation:
    words: list[str] = field(default_factory=list)
    pending: str = ""
    inputs: int = 0
    outputs: int = 0

    def feed(self, feed: Feed) -> Output:
        if REFUSED in feed.text:
            return Output()
        head, space, tail = (self.pending + feed.text).rpartition(" ")
        fresh = (head + space + (tail if feed.end_of_input else "")).split()
        self.pending = "" if feed.end_of_input else tail
        self.words += fresh
        self.inputs += len(fresh)
        labels = judged(" ".join(self.words)) if self.words else ()
        if feed.end_of_input:
            self.words = []
        return Output(input_position=self.inputs, output_position=self.outputs, labels=labels)


class FakeService(sequence_pb2_grpc.SequenceServiceServicer, model_pb2_grpc.ModelServiceServicer):
    """Answers at once, unless `gate` is closed; `failures` are used up one by one, before anything is answered."""

    def __init__(self) -> None:
        self.requests: list[Message] = []
        self.failures: list[Failure] = []
        self.gate = threading.Event()
        self.gate.set()
        self.sessions: dict[str, Conversation] = {}
        self.under_way = 0
        self.most_under_way = 0
        self.cancelled = threading.Event()
        self._lock = threading.Lock()

    def Translate(self, request: TranslateRequest, context: grpc.ServicerContext) -> TranslateResponse:
        with self._answering(request, context):
            _check(request.texts, context)
            _check_model(request.model.name, context)
            translations = [_translation(text) for text in request.texts]
            return TranslateResponse(model=TRANSLATOR, translations=translations)

    def StreamTranslate(
        self, request: StreamTranslateRequest, context: grpc.ServicerContext
    ) -> Iterator[StreamTranslateResponse]:
        with self._answering(request, context):
            if REFUSED in request.text:
                wrong("text", "text is refused").abort(context)
        best = _hypothesis(request.text)
        for position, token in enumerate(best.tokens, 1):
            self.gate.wait(20)
            first = TRANSLATOR if position == 1 else None
            yield StreamTranslateResponse(output_position=position, tokens=[token], model=first)
        yield StreamTranslateResponse(
            output_position=len(best.tokens), finish_reason=FINISH_REASON_END, hypotheses=[best]
        )

    def Classify(self, request: ClassifyRequest, context: grpc.ServicerContext) -> ClassifyResponse:
        with self._answering(request, context):
            _check(request.texts, context)
            num = request.num_labels or None
            answers = [
                Classification(labels=judged(text)[:num], num_tokens=len(text.split()))
                for text in request.texts
            ]
            return ClassifyResponse(model=CLASSIFIER, classifications=answers)

    def Session(
        self, request_iterator: Iterator[SessionRequest], context: grpc.ServicerContext
    ) -> Iterator[SessionResponse]:
        key, talk = "", Conversation()
        for request in request_iterator:
            with self._answering(request, context):
                pass
            kind = request.WhichOneof("request")
            if kind in ("open", "resume"):
                key = request.resume.session_id or f"session-{len(self.sessions) + 1}"
                if kind == "open":
                    self.sessions[key] = talk
                elif key not in self.sessions:
                    not_found("session", key).abort(context)
                talk = self.sessions[key]
                yield SessionResponse(opened=_opened(key, talk))
            elif kind == "feed":
                if REFUSED in request.feed.text:
                    wrong("feed.text", "the text is refused").abort(context)
                yield SessionResponse(output=talk.feed(request.feed))
            elif kind == "generate":
                yield from self._generate(talk)
            else:
                del self.sessions[key]
                yield SessionResponse(closed=Closed(input_position=talk.inputs, output_position=talk.outputs))
                return

    def ListModels(self, request: ListModelsRequest, context: grpc.ServicerContext) -> ListModelsResponse:
        with self._answering(request, context):
            chosen = [model for model in DESCRIPTIONS if request.task in (0, model.task)]
            return ListModelsResponse(models=chosen)

    def DescribeModel(
        self, request: DescribeModelRequest, context: grpc.ServicerContext
    ) -> DescribeModelResponse:
        with self._answering(request, context):
            found = [model for model in DESCRIPTIONS if model.model.name == request.model.name]
            if not found:
                not_found("model", request.model.name).abort(context)
            return DescribeModelResponse(model=found[0])

    def _generate(self, talk: Conversation) -> Iterator[SessionResponse]:
        best = _hypothesis(" ".join(talk.words))
        talk.words = []
        for token in best.tokens:
            self.gate.wait(20)
            talk.outputs += 1
            yield SessionResponse(
                output=Output(input_position=talk.inputs, output_position=talk.outputs, tokens=[token])
            )
        last = Output(input_position=talk.inputs, output_position=talk.outputs)
        last.finish_reason = FINISH_REASON_END
        last.hypotheses.append(best)
        yield SessionResponse(output=last)

    @contextmanager
    def _answering(self, request: Message, context: grpc.ServicerContext) -> Iterator[None]:
        context.add_callback(lambda: None if context.is_active() else self.cancelled.set())
        with self._lock:
            self.requests.append(request)
            failure = self.failures.pop(0) if self.failures else None
            self.under_way += 1
            self.most_under_way = max(self.under_way, self.most_under_way)
        try:
            if failure:
                failure.abort(context)
            self.gate.wait(20)
            yield
        finally:
            with self._lock:
                self.under_way -= 1


def judged(text: str) -> list[LabelScore]:
    sides = ["question", "statement"] if "?" in text else ["statement", "question"]
    return [LabelScore(label=sides[0], probability=0.75), LabelScore(label=sides[1], probability=0.25)]


def _hypothesis(text: str) -> Hypothesis:
    words = text.upper().split()
    tokens = [
        Token(id=index, piece=(" " if index else "") + word, log_prob=-0.5)
        for index, word in enumerate(words)
    ]
    return Hypothesis(
        text=" ".join(words), score=-0.5 * len(words), tokens=tokens, finish_reason=FINISH_REASON_END
    )


def _translation(text: str) -> Translation:
    return Translation(hypotheses=[_hypothesis(text)], num_source_tokens=len(text.split()))


def _opened(key: str, talk: Conversation) -> Opened:
    return Opened(
        session_id=key,
        model=CLASSIFIER,
        input_position=talk.inputs,
        output_position=talk.outputs,
        ttl=Duration(seconds=300),
    )


def _check(texts: Sequence[str], context: grpc.ServicerContext) -> None:
    for index, text in enumerate(texts):
        if REFUSED in text:
            wrong(f"texts[{index}]", f"texts[{index}] is refused").abort(context)


def _check_model(name: str, context: grpc.ServicerContext) -> None:
    if name not in ("", TRANSLATOR.name):
        not_found("model", name).abort(context)


DESCRIPTIONS = [
    ModelDescription(
        model=TRANSLATOR,
        task=TASK_TRANSLATE,
        description="Says it louder",
        source_language="es",
        target_language="en",
        precision="int8",
        num_parameters=12_300_000,
        size_bytes=13_000_000,
        streams=False,
        why_not_streaming="its encoder reads both ways",
        vocabulary_size=6000,
        max_input_tokens=512,
        max_output_tokens=256,
        generation=GenerationDefaults(beam_size=4, length_penalty=1.0, max_length=200),
    ),
    ModelDescription(
        model=CLASSIFIER,
        task=TASK_CLASSIFY,
        precision="fp32",
        num_parameters=900_000,
        size_bytes=3_600_000,
        streams=True,
        labels=["question", "statement"],
        vocabulary_size=4000,
        max_input_tokens=512,
    ),
]


@contextmanager
def served(fake: FakeService) -> Iterator[str]:
    """Serve it on a free port; gives the address."""
    server = grpc.server(ThreadPoolExecutor(16))
    sequence_pb2_grpc.add_SequenceServiceServicer_to_server(fake, server)
    model_pb2_grpc.add_ModelServiceServicer_to_server(fake, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        fake.gate.set()
        server.stop(0).wait()
