"""Clients of `benchmarks.naive`: each works until its window is over."""

import asyncio
import time
from collections.abc import Sequence
from itertools import cycle, islice
from typing import Any

import grpc

from benchmarks.clients import spread
from benchmarks.window import Client, Window
from benchmarks.work import Text
from seqserve.v1 import decoding_pb2, sequence_pb2, session_pb2

SERVICE = "benchmarks.Naive"


class NaiveCalls:
    """Its methods over a channel."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.begin = _call(channel, "Begin", session_pb2.Opened)
        self.next = _call(channel, "Next", decoding_pb2.Token)
        self.feed = _call(channel, "Feed", session_pb2.Output)
        self.translate = _call(channel, "Translate", decoding_pb2.Hypothesis)


def naive_streams(calls: NaiveCalls, texts: Sequence[Text], number: int) -> list[Client]:
    """Each asks for one token after the other, for as many as the translation has and for its end."""

    def streaming(start: int) -> Client:
        async def stream_on(window: Window) -> None:
            for text in spread(texts, start, number):
                if window.over:
                    return
                asked = time.perf_counter()
                opened = await calls.begin(sequence_pb2.StreamTranslateRequest(text=text.text))
                following = session_pb2.Resume(session_id=opened.session_id)
                await calls.next(following)
                last = window.first(asked)
                for _ in range(text.num_tokens - 1):
                    await calls.next(following)
                    last = window.next(last)
                await calls.next(following)

        return stream_on

    return [streaming(start) for start in range(number)]


def naive_feeds(calls: NaiveCalls, requests: Sequence[Sequence[int]], number: int) -> list[Client]:
    """Each feeds one subword after the other."""

    def feeding(start: int) -> Client:
        async def feed_on(window: Window) -> None:
            for token in (token for ids in spread(requests, start, number) for token in ids):
                if window.over:
                    return
                asked = time.perf_counter()
                request = session_pb2.Feed(token_ids=session_pb2.TokenIds(ids=[token]))
                await calls.feed(request, metadata=(("conversation", str(start)),))
                window.next(asked)

        return feed_on

    return [feeding(start) for start in range(number)]


def naive_bursts(calls: NaiveCalls, texts: Sequence[Text], number: int) -> Client:
    """So many whole texts at once; the next burst when all are answered."""

    async def ask(text: Text, window: Window) -> None:
        asked = time.perf_counter()
        request = sequence_pb2.TranslateRequest(texts=[text.text])
        request.options.max_length = text.num_tokens + 1
        await calls.translate(request)
        window.whole(asked, text.num_tokens)

    async def burst_on(window: Window) -> None:
        endless = cycle(texts)
        while not window.over:
            await asyncio.gather(*(ask(text, window) for text in islice(endless, number)))

    return burst_on


def _call(channel: grpc.aio.Channel, name: str, answer: Any) -> Any:
    return channel.unary_unary(
        f"/{SERVICE}/{name}",
        request_serializer=lambda request: request.SerializeToString(),
        response_deserializer=answer.FromString,
    )
