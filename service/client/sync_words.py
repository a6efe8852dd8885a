"""Labels for words, and summaries, by the sync client."""

from collections.abc import Iterable, Iterator
from typing import Unpack, overload

from seqserve.v1.sequence_pb2 import SummarizeResponse, TagResponse
from service.client import replies, requests
from service.client.options import SummarizeOptions, TagOptions
from service.client.outputs import Summary, Tagging
from service.client.streams import TokenStream
from service.client.sync_calls import Calls, Send


class Words(Calls):
    """Methods of the client."""

    @overload
    def tag(self, texts: str, **options: Unpack[TagOptions]) -> Tagging: ...
    @overload
    def tag(self, texts: list[str] | tuple[str, ...], **options: Unpack[TagOptions]) -> list[Tagging]: ...

    def tag(
        self, texts: str | list[str] | tuple[str, ...], **options: Unpack[TagOptions]
    ) -> Tagging | list[Tagging]:
        """Label the words of one text, or of a list of texts in order."""
        if not isinstance(texts, str):
            return list(self.tag_many(texts, **options))
        return self._only(replies.taggings, self._send_tag(options), texts)

    def tag_many(self, texts: Iterable[str], **options: Unpack[TagOptions]) -> Iterator[Tagging]:
        """Label the words of any number of texts, each as soon as it can be; errors as in `translate_many`."""
        return self._many(replies.taggings, self._send_tag(options), texts)

    @overload
    def summarize(self, texts: str, **options: Unpack[SummarizeOptions]) -> Summary: ...
    @overload
    def summarize(
        self, texts: list[str] | tuple[str, ...], **options: Unpack[SummarizeOptions]
    ) -> list[Summary]: ...

    def summarize(
        self, texts: str | list[str] | tuple[str, ...], **options: Unpack[SummarizeOptions]
    ) -> Summary | list[Summary]:
        """Summarize one text, or each of a list of texts in order."""
        if not isinstance(texts, str):
            return list(self.summarize_many(texts, **options))
        return self._only(replies.summaries, self._send_summarize(options), texts)

    def summarize_many(self, texts: Iterable[str], **options: Unpack[SummarizeOptions]) -> Iterator[Summary]:
        """Summarize any number of texts, in order, each as soon as it can be; errors as in `translate_many`."""
        return self._many(replies.summaries, self._send_summarize(options), texts)

    def stream_summarize(self, text: str, **options: Unpack[SummarizeOptions]) -> TokenStream:
        """Summarize one text token by token; afterwards `summary` is the whole.

        A model that leaves words out has no tokens: its summary comes at once.
        """
        request = requests.stream_summarize(text, options)
        call = self._sequences.StreamSummarize(request, timeout=self._within(options.get("timeout")))
        return TokenStream(self._messages(call), call.cancel)

    def _send_tag(self, options: TagOptions) -> "Send[TagResponse]":
        timeout = self._within(options.get("timeout"))
        return lambda texts: self._sequences.Tag.future(requests.tag(texts, options), timeout=timeout)

    def _send_summarize(self, options: SummarizeOptions) -> "Send[SummarizeResponse]":
        timeout = self._within(options.get("timeout"))
        return lambda texts: self._sequences.Summarize.future(
            requests.summarize(texts, options), timeout=timeout
        )
