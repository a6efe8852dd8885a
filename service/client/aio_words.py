"""Labels for words, and summaries, by the async client."""

from collections.abc import AsyncIterator
from typing import Unpack, overload

from seqserve.v1.sequence_pb2 import SummarizeResponse, TagResponse
from service.client import replies, requests
from service.client.aio_calls import AsyncCalls, Send, Texts
from service.client.options import SummarizeOptions, TagOptions
from service.client.outputs import Summary, Tagging
from service.client.streams import AsyncTokenStream


class AsyncWords(AsyncCalls):
    """Methods of the client."""

    @overload
    async def tag(self, texts: str, **options: Unpack[TagOptions]) -> Tagging: ...
    @overload
    async def tag(
        self, texts: list[str] | tuple[str, ...], **options: Unpack[TagOptions]
    ) -> list[Tagging]: ...

    async def tag(
        self, texts: str | list[str] | tuple[str, ...], **options: Unpack[TagOptions]
    ) -> Tagging | list[Tagging]:
        """Label the words of one text, or of a list of texts in order."""
        if not isinstance(texts, str):
            return [answer async for answer in self.tag_many(texts, **options)]
        return await self._only(replies.taggings, self._send_tag(options), texts)

    def tag_many(self, texts: Texts, **options: Unpack[TagOptions]) -> AsyncIterator[Tagging]:
        """Label the words of any number of texts, each as soon as it can be; errors as in `translate_many`."""
        return self._many(replies.taggings, self._send_tag(options), texts)

    @overload
    async def summarize(self, texts: str, **options: Unpack[SummarizeOptions]) -> Summary: ...
    @overload
    async def summarize(
        self, texts: list[str] | tuple[str, ...], **options: Unpack[SummarizeOptions]
    ) -> list[Summary]: ...

    async def summarize(
        self, texts: str | list[str] | tuple[str, ...], **options: Unpack[SummarizeOptions]
    ) -> Summary | list[Summary]:
        """Summarize one text, or each of a list of texts in order."""
        if not isinstance(texts, str):
            return [answer async for answer in self.summarize_many(texts, **options)]
        return await self._only(replies.summaries, self._send_summarize(options), texts)

    def summarize_many(self, texts: Texts, **options: Unpack[SummarizeOptions]) -> AsyncIterator[Summary]:
        """Summarize any number of texts, in order, each as soon as it can be; errors as in `translate_many`."""
        return self._many(replies.summaries, self._send_summarize(options), texts)

    def stream_summarize(self, text: str, **options: Unpack[SummarizeOptions]) -> AsyncTokenStream:
        """Summarize one text token by token; afterwards `summary` is the whole.

        A model that leaves words out has no tokens: its summary comes at once.
        """
        request = requests.stream_summarize(text, options)
        call = self._sequences.StreamSummarize(request, timeout=self._within(options.get("timeout")))
        return AsyncTokenStream(self._messages(call), call.cancel)

    def _send_tag(self, options: TagOptions) -> Send[TagResponse]:
        timeout = self._within(options.get("timeout"))
        return lambda texts: self._sequences.Tag(requests.tag(texts, options), timeout=timeout)

    def _send_summarize(self, options: SummarizeOptions) -> Send[SummarizeResponse]:
        timeout = self._within(options.get("timeout"))
        return lambda texts: self._sequences.Summarize(requests.summarize(texts, options), timeout=timeout)
