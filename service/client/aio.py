"""The async client."""

from collections.abc import AsyncIterator, Sequence
from typing import Unpack, overload

from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse, HealthListRequest

from seqserve.v1.sequence_pb2 import ClassifyResponse, TranslateResponse
from seqserve.v1.sequence_pb2_grpc import SequenceServiceStub
from seqserve.v1.session_pb2 import SessionRequest
from service.client import replies, requests
from service.client.addresses import Ways
from service.client.aio_calls import Send, Texts
from service.client.aio_language import AsyncLanguage
from service.client.aio_session import AsyncSession
from service.client.aio_signals import AsyncSignals
from service.client.aio_words import AsyncWords
from service.client.errors import as_client_errors
from service.client.options import (
    ClassifyOptions,
    ScoreOptions,
    SessionOptions,
    SeveralOptions,
    TranslateOptions,
)
from service.client.results import (
    Classification,
    Model,
    Score,
    SessionInfo,
    Ticket,
    Translation,
    Translations,
)
from service.client.streams import AsyncTokenStream


class AsyncClient(AsyncWords, AsyncSignals, AsyncLanguage):
    """A connection to a seqserve server, for one event loop; an async context manager that closes it.

    Every failure is a `ClientError`. A request is sent again only where the server cannot be reached or is going away,
    and has answered nothing at all.
    """

    @overload
    async def translate(self, texts: str, **options: Unpack[TranslateOptions]) -> Translation: ...
    @overload
    async def translate(
        self, texts: list[str] | tuple[str, ...], **options: Unpack[TranslateOptions]
    ) -> list[Translation]: ...

    async def translate(
        self, texts: str | list[str] | tuple[str, ...], **options: Unpack[TranslateOptions]
    ) -> Translation | list[Translation]:
        """Translate one text, or a list of texts in order; `source="es", target="en"` choose the model."""
        if not isinstance(texts, str):
            return [answer async for answer in self.translate_many(texts, **options)]
        return await self._only(replies.translations, self._send_translate(options), texts)

    def translate_many(self, texts: Texts, **options: Unpack[TranslateOptions]) -> AsyncIterator[Translation]:
        """Translate any number of texts, in order, each as soon as it can be: several requests are under way at once.

        Where a text is refused, the answers to those before it come first, then the error with its index.
        """
        return self._many(replies.translations, self._send_translate(options), texts)

    async def translate_into(
        self,
        texts: str | list[str] | tuple[str, ...],
        targets: Sequence[str],
        **options: Unpack[SeveralOptions],
    ) -> Translations:
        """Translate texts into several languages at once; models with one encoder read each text once."""
        given, timeout = [texts] if isinstance(texts, str) else texts, self._within(options.get("timeout"))
        request = requests.translate_into(given, targets, options)
        answer = await self._asked(lambda: self._sequences.MultiTranslate(request, timeout=timeout))
        return replies.translations_into(answer, targets)

    def stream_translate(self, text: str, **options: Unpack[TranslateOptions]) -> AsyncTokenStream:
        """Translate one text token by token; greedy unless told otherwise; of a beam, what has become certain."""
        request = requests.stream_translate(text, options)
        call = self._sequences.StreamTranslate(request, timeout=self._within(options.get("timeout")))
        return AsyncTokenStream(self._messages(call), call.cancel)

    @overload
    async def classify(self, texts: str, **options: Unpack[ClassifyOptions]) -> Classification: ...
    @overload
    async def classify(
        self, texts: list[str] | tuple[str, ...], **options: Unpack[ClassifyOptions]
    ) -> list[Classification]: ...

    async def classify(
        self, texts: str | list[str] | tuple[str, ...], **options: Unpack[ClassifyOptions]
    ) -> Classification | list[Classification]:
        """Label one text, or a list of texts in order."""
        if not isinstance(texts, str):
            return [answer async for answer in self.classify_many(texts, **options)]
        return await self._only(replies.classifications, self._send_classify(options), texts)

    def classify_many(
        self, texts: Texts, **options: Unpack[ClassifyOptions]
    ) -> AsyncIterator[Classification]:
        """Label any number of texts, in order, each as soon as it can be; errors as in `translate_many`."""
        return self._many(replies.classifications, self._send_classify(options), texts)

    async def score(self, pairs: Sequence[tuple[str, str]], **options: Unpack[ScoreOptions]) -> list[Score]:
        """How probable given outputs are: (source, output) pairs, in order; an empty source for language models."""
        parts = range(0, len(pairs), self._max_texts)
        found = [await self._score(pairs[at : at + self._max_texts], options) for at in parts]
        return [score for part in found for score in part]

    def session(self, **options: Unpack[SessionOptions]) -> AsyncSession:
        """A session with a model that can stream: `async with client.session(model=…) as session`."""
        return self._session(requests.open_session(options), options.get("timeout"))

    def resume(self, session: str | bytes | Ticket, *, timeout: float | None = None) -> AsyncSession:
        """A session that was left, by its id, or one from a ticket; taken up on `async with` or at first use."""
        return self._session(requests.resume(session), timeout)

    async def sessions(self, *, timeout: float | None = None) -> list[SessionInfo]:
        """One's own sessions on the server and in its store, newest first."""
        found: list[SessionInfo] = []
        token = ""
        with as_client_errors(self.address):
            while True:
                request = requests.list_sessions(token)
                answer = await self._stored.ListSessions(request, timeout=self._within(timeout))
                found += replies.sessions(answer)
                if not (token := answer.next_page_token):
                    return found

    async def close_session(self, session_id: str, *, timeout: float | None = None) -> None:
        """End a session wherever it is; whoever holds it is told."""
        request = requests.close_session(session_id)
        await self._asked(lambda: self._stored.CloseSession(request, timeout=self._within(timeout)))

    async def models(self, task: str = "", *, timeout: float | None = None) -> list[Model]:
        """All served versions by name, newest first; `task` is `translate` or `classify`, or empty for all."""
        request = requests.list_models(task)
        return replies.models(
            await self._asked(lambda: self._models.ListModels(request, timeout=self._within(timeout)))
        )

    async def model(self, name: str, version: str = "", *, timeout: float | None = None) -> Model:
        """One of them; without a version the newest."""
        request = requests.describe_model({"model": name, "version": version})
        answer = await self._asked(lambda: self._models.DescribeModel(request, timeout=self._within(timeout)))
        return replies.model(answer.model)

    async def serves(self, service: str = "", *, timeout: float | None = None) -> bool:
        """Whether the server says of itself that it serves; `store` asks for its store, a service for that one."""
        request = HealthCheckRequest(service=service)
        answer = await self._asked(lambda: self._health.Check(request, timeout=self._within(timeout)))
        return bool(answer.status == HealthCheckResponse.SERVING)

    async def parts(self, *, timeout: float | None = None) -> dict[str, bool]:
        """Whether each part of the server works by which others may go on: models as `name/version`, `store`, …; ""
        is the server as a whole.
        """
        request = HealthListRequest()
        answer = await self._asked(lambda: self._health.List(request, timeout=self._within(timeout)))
        serving = HealthCheckResponse.SERVING
        return {name: one.status == serving for name, one in sorted(answer.statuses.items())}

    async def _score(self, pairs: Sequence[tuple[str, str]], options: ScoreOptions) -> list[Score]:
        request, timeout = requests.score(pairs, options), self._within(options.get("timeout"))
        return replies.scores(await self._asked(lambda: self._sequences.Score(request, timeout=timeout)))

    def _send_translate(self, options: TranslateOptions) -> Send[TranslateResponse]:
        timeout = self._within(options.get("timeout"))
        return lambda texts: self._sequences.Translate(requests.translate(texts, options), timeout=timeout)

    def _send_classify(self, options: ClassifyOptions) -> Send[ClassifyResponse]:
        timeout = self._within(options.get("timeout"))
        return lambda texts: self._sequences.Classify(requests.classify(texts, options), timeout=timeout)

    def _session(self, opening: SessionRequest, timeout: float | None) -> AsyncSession:
        stubs = map(SequenceServiceStub, self._in_turn(self._channels()))
        ways = Ways(list(zip(stubs, self.addresses, strict=True)), opening.resume.session_id)
        return AsyncSession(ways, opening, self._within(timeout), self._manner)
