"""Clients that are closed, and sessions that are dropped, in the middle of something."""

import asyncio
import threading
import time
import weakref
from collections.abc import AsyncIterator, Iterator

import pytest

from service.client import Client, NotPossible
from service.client.aio_pipeline import AsyncPipeline
from service.client.batches import Batches


def test_a_session_of_a_closed_client_says_so(client: Client) -> None:
    with client.session(durability="every step") as session:
        session.feed("uno ")
        client.close()
        with pytest.raises(NotPossible, match="closed"):
            session.feed("dos ")


def test_texts_of_a_closed_client_end_with_an_error_and_not_never(address: str) -> None:
    """The sync client, whose source has a thread of its own, which is where sending fails."""
    client = Client(address, timeout=20, max_texts=1)
    closed = threading.Event()

    def texts() -> Iterator[str]:
        yield "uno"
        closed.wait(20)
        yield "dos"
        yield "tres"

    answers = client.translate_many(texts())
    assert next(answers).text == "UNO"
    client.close()
    closed.set()
    with pytest.raises(NotPossible, match="closed"):
        list(answers)


def test_the_thread_of_a_session_that_is_dropped_ends(address: str) -> None:
    with Client(address, timeout=20) as client:
        session = client.session()
        assert session._exchange is not None
        requests = weakref.ref(session._exchange._requests)  # the thread waits for them
        assert requests() is not None
        del session
        for _ in range(2000):
            if requests() is None:
                return
            time.sleep(0.01)
        raise AssertionError("the thread is still there")


async def test_nothing_more_is_sent_for_a_reader_who_has_left() -> None:
    sent: list[list[str]] = []

    async def send(texts: list[str]) -> list[str]:
        sent.append(texts)
        return texts

    async def source() -> AsyncIterator[str]:
        yield "uno"
        yield "dos"  # gathers, since one is under way
        await asyncio.Event().wait()

    answers = aiter(AsyncPipeline(source(), send, Batches(max_items=2, max_under_way=2)))
    await anext(answers)
    await asyncio.sleep(0)
    await answers.aclose()  # type: ignore[attr-defined]
    await asyncio.sleep(0)
    assert sent == [["uno"]]
