"""Text that arrives token by token: iterate over the tokens; afterwards `result` is the whole."""

from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Self, TypeVar

from seqserve.v1 import sequence_pb2, session_pb2
from service.client import replies
from service.client.errors import ServerFailed
from service.client.outputs import Summary
from service.client.results import ModelVersion, Token, Translation

R = TypeVar("R")

Summarized = sequence_pb2.StreamSummarizeResponse
Generated = sequence_pb2.StreamGenerateResponse
Answer = sequence_pb2.StreamTranslateResponse | Summarized | Generated
Message = Answer | session_pb2.Output
"""What carries tokens: an answer of a stream, or an output of a session that generates."""


class Gathered:
    """What has come of a text so far."""

    def __init__(self, model: ModelVersion | None) -> None:
        self._model = model
        self._pieces: list[str] = []
        self._fresh: deque[Token] = deque()
        self._result: Translation | None = None
        self._summary: Summary | None = None
        self._ended = False

    @property
    def summary(self) -> Summary:
        """Of a model that summarizes: as `result`, with the words of one that leaves words out."""
        return self._whole(self._summary)

    @property
    def text(self) -> str:
        """The text so far."""
        return "".join(self._pieces)

    @property
    def result(self) -> Translation:
        """The whole text with its score, once the last token has been read; until then a RuntimeError."""
        return self._whole(self._result)

    def _whole(self, result: R | None) -> R:
        if result is not None:
            return result
        if self._ended:
            raise ServerFailed("the stream ended before the text did")
        raise RuntimeError("the text has not ended yet: read the tokens to the end, or call finish()")

    def _add(self, message: Message) -> None:
        if isinstance(message, Answer) and message.HasField("model"):
            self._model = replies.model_version(message.model)
        tokens = replies.tokens(message.tokens)
        self._fresh.extend(tokens)
        self._pieces.extend(token.piece for token in tokens)
        if self._model is not None:
            self._note_whole(message, self._model)

    def _note_whole(self, message: Message, model: ModelVersion) -> None:
        hypotheses = message.hypotheses if not isinstance(message, Summarized) else message.summary.hypotheses
        if hypotheses:
            self._result = Translation(replies.hypotheses(hypotheses), model)
        if isinstance(message, Summarized) and message.HasField("summary"):
            self._summary = replies.summary(message.summary, model)


class TokenStream(Gathered, Iterator[Token]):
    """The tokens of one text, as they come. Leaving a `with` block, or `cancel`, frees the server at once."""

    def __init__(
        self, messages: Iterator[Message], cancel: Callable[[], object], model: ModelVersion | None = None
    ) -> None:
        super().__init__(model)
        self._messages = messages
        self.cancel = cancel

    def __next__(self) -> Token:
        while not self._fresh:
            try:
                self._add(next(self._messages))
            except StopIteration:
                self._ended = True
                raise
        return self._fresh.popleft()

    def finish(self) -> Translation:
        """Read to the end and return the whole text."""
        for _ in self:
            pass
        return self.result

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if not self._ended:
            self.cancel()


class AsyncTokenStream(Gathered, AsyncIterator[Token]):
    """The tokens of one text, as they come. Leaving an `async with` block, or `cancel`, frees the server at once."""

    def __init__(
        self,
        messages: AsyncIterator[Message],
        cancel: Callable[[], object],
        model: ModelVersion | None = None,
    ) -> None:
        super().__init__(model)
        self._messages = messages
        self.cancel = cancel

    async def __anext__(self) -> Token:
        while not self._fresh:
            try:
                self._add(await anext(self._messages))
            except StopAsyncIteration:
                self._ended = True
                raise
        return self._fresh.popleft()

    async def finish(self) -> Translation:
        """Read to the end and return the whole text."""
        async for _ in self:
            pass
        return self.result

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if not self._ended:
            self.cancel()
