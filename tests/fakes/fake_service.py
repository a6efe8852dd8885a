"""A seqserve server without models, for tests of clients: it speaks the whole wire and can be told to fail.

Translation is capitals, a token per word: `hola mundo` → `HOLA MUNDO`. A text is a `question` when it has a question
mark, else a `statement`, with probability 0.75.
"""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import grpc
from google.protobuf.message import Message

from seqserve.v1 import model_pb2_grpc, sequence_pb2_grpc, session_pb2, session_pb2_grpc
from seqserve.v1.decoding_pb2 import FINISH_REASON_END
from seqserve.v1.model_pb2 import (
    TASK_CLASSIFY,
    TASK_TRANSLATE,
    DescribeModelRequest,
    DescribeModelResponse,
    GenerationDefaults,
    ListModelsRequest,
    ListModelsResponse,
    LoadModelRequest,
    LoadModelResponse,
    ModelDescription,
    ModelVersion,
    UnloadModelRequest,
    UnloadModelResponse,
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
from seqserve.v1.session_pb2 import SessionRequest, SessionResponse
from tests.fakes.failures import REFUSED, Failure, not_found, wrong
from tests.fakes.fake_sessions import CLASSIFIER, Conversation, FakeSessions, claimed, hypothesis, judged

TRANSLATOR = ModelVersion(name="capitals", version="2")


class FakeService(
    sequence_pb2_grpc.SequenceServiceServicer,
    model_pb2_grpc.ModelServiceServicer,
    session_pb2_grpc.SessionServiceServicer,
):
    """Answers at once, unless `gate` is closed; `failures` are used up one by one, before anything is answered."""

    def __init__(self) -> None:
        self.requests: list[Message] = []
        self.failures: list[Failure] = []
        self.gate = threading.Event()
        self.gate.set()
        self.ends = threading.Event()
        """While it is not set, streams of closed sessions do not end."""
        self.ends.set()
        self.lingering = 0
        """Such streams."""
        self.sessions = FakeSessions()
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
        best = hypothesis(request.text)
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
                key, talk = self.sessions.begin(request, context)
                yield talk.opened(key)
            elif REFUSED in request.feed.text:
                wrong("feed.text", "the text is refused").abort(context)
            elif kind == "close":
                del self.sessions[key]
                yield talk.closed()
                self.lingering += 1
                self.ends.wait(20)
                self.lingering -= 1
                return
            else:
                yield from self._cut(self.sessions.answers(talk, request, context), context)
                if self.sessions.has_moved:
                    return

    def _cut(
        self, answers: Iterator[SessionResponse], context: grpc.ServicerContext
    ) -> Iterator[SessionResponse]:
        """Answers, until the stream is to break: before the next answer, or after it was given to nobody."""
        for answer in answers:
            self.gate.wait(20)
            crash = self.sessions.crash_before()
            if crash is not None:
                crash.abort(context)
            if self.sessions.has_moved:
                yield claimed()
                return
            yield answer

    def ListSessions(
        self, request: session_pb2.ListSessionsRequest, context: grpc.ServicerContext
    ) -> session_pb2.ListSessionsResponse:
        with self._answering(request, context):
            keys = sorted(self.sessions)
            start = int(request.page_token or 0)
            page = [self.sessions[key].described(key) for key in keys[start : start + 1]]
            token = str(start + 1) if start + 1 < len(keys) else ""
            return session_pb2.ListSessionsResponse(sessions=page, next_page_token=token)

    def DescribeSession(
        self, request: session_pb2.DescribeSessionRequest, context: grpc.ServicerContext
    ) -> session_pb2.DescribeSessionResponse:
        raise NotImplementedError

    def CloseSession(
        self, request: session_pb2.CloseSessionRequest, context: grpc.ServicerContext
    ) -> session_pb2.CloseSessionResponse:
        with self._answering(request, context):
            if request.session_id not in self.sessions:
                not_found("session", request.session_id).abort(context)
            del self.sessions[request.session_id]
            return session_pb2.CloseSessionResponse()

    def ListModels(self, request: ListModelsRequest, context: grpc.ServicerContext) -> ListModelsResponse:
        with self._answering(request, context):
            chosen = [model for model in DESCRIPTIONS if request.task in (0, model.task)]
            return ListModelsResponse(models=chosen)

    def LoadModel(self, request: LoadModelRequest, context: grpc.ServicerContext) -> LoadModelResponse:
        raise NotImplementedError

    def UnloadModel(self, request: UnloadModelRequest, context: grpc.ServicerContext) -> UnloadModelResponse:
        raise NotImplementedError

    def DescribeModel(
        self, request: DescribeModelRequest, context: grpc.ServicerContext
    ) -> DescribeModelResponse:
        with self._answering(request, context):
            found = [model for model in DESCRIPTIONS if model.model.name == request.model.name]
            if not found:
                not_found("model", request.model.name).abort(context)
            return DescribeModelResponse(model=found[0])

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


def _translation(text: str) -> Translation:
    return Translation(hypotheses=[hypothesis(text)], num_source_tokens=len(text.split()))


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


MAX_STREAMS = 64
"""Calls at once; a session's stream is one for as long as it is held, and one too many would wait for ever."""


@contextmanager
def served(fake: FakeService) -> Iterator[str]:
    """Serve it on a free port; gives the address."""
    server = grpc.server(ThreadPoolExecutor(MAX_STREAMS))
    sequence_pb2_grpc.add_SequenceServiceServicer_to_server(fake, server)
    model_pb2_grpc.add_ModelServiceServicer_to_server(fake, server)
    session_pb2_grpc.add_SessionServiceServicer_to_server(fake, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        fake.gate.set()
        fake.ends.set()
        server.stop(0).wait()
