"""Going on with texts, by the async client."""

from collections.abc import AsyncIterator
from typing import Unpack, overload

from seqserve.v1.sequence_pb2 import GenerateResponse
from service.client import replies, requests
from service.client.aio_calls import AsyncCalls, Send, Texts
from service.client.options import GenerateOptions
from service.client.results import Generation
from service.client.streams import AsyncTokenStream


class AsyncLanguage(AsyncCalls):
    """Methods of the client."""

    @overload
    async def generate(self, prompts: str, **options: Unpack[GenerateOptions]) -> Generation: ...
    @overload
    async def generate(
        self, prompts: list[str] | tuple[str, ...], **options: Unpack[GenerateOptions]
    ) -> list[Generation]: ...

    async def generate(
        self, prompts: str | list[str] | tuple[str, ...], **options: Unpack[GenerateOptions]
    ) -> Generation | list[Generation]:
        """Go on with one prompt, or with each of a list in order; an empty one begins a text."""
        if not isinstance(prompts, str):
            return [answer async for answer in self.generate_many(prompts, **options)]
        return await self._only(replies.generations, self._send_generate(options), prompts)

    def generate_many(self, prompts: Texts, **options: Unpack[GenerateOptions]) -> AsyncIterator[Generation]:
        """Go on with any number of prompts, in order, each as soon as it can be; errors as in `translate_many`."""
        return self._many(replies.generations, self._send_generate(options), prompts)

    def stream_generate(self, prompt: str, **options: Unpack[GenerateOptions]) -> AsyncTokenStream:
        """Go on with one prompt token by token."""
        request = requests.stream_generate(prompt, options)
        call = self._sequences.StreamGenerate(request, timeout=self._within(options.get("timeout")))
        return AsyncTokenStream(self._messages(call), call.cancel)

    def _send_generate(self, options: GenerateOptions) -> Send[GenerateResponse]:
        timeout = self._within(options.get("timeout"))
        return lambda prompts: self._sequences.Generate(
            requests.generate_texts(prompts, options), timeout=timeout
        )
