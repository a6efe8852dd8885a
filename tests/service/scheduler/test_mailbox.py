import asyncio
import threading
from collections.abc import Callable

import pytest

from service.errors import Draining, InvalidInput, Overloaded, StepFailed
from service.scheduler import Mailbox
from service.scheduler.mailbox import Post
from tests.fakes.jobs import Adding, alone
from tests.fakes.running_sum import POISON
from tests.fakes.waiting import until, wait_until
from tests.service.scheduler.conftest import Bench

MakeBench = Callable[..., Bench]


class Counting:
    """An event loop's door, with a counter at it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.calls = 0
        self._open = loop.call_soon_threadsafe
        loop.call_soon_threadsafe = self._count  # type: ignore[method-assign, assignment]

    def _count(self, *args: object, **kwargs: object) -> object:
        self.calls += 1
        return self._open(*args, **kwargs)  # type: ignore[arg-type]


async def read(mailbox: Mailbox[int]) -> list[int]:
    return [item async for items in mailbox for item in items]


async def test_what_a_job_puts_arrives_in_order_and_ends(bench: MakeBench) -> None:
    b = bench()
    mailbox: Mailbox[int] = b.scheduler.mailbox(asyncio.get_running_loop())
    b.scheduler.submit(Adding([1], [1, 2, 3], mailbox=mailbox))
    assert await read(mailbox) == [1, 2, 4, 7]


async def test_a_slow_reader_gets_all_that_came_since_its_last_look(bench: MakeBench) -> None:
    b = bench()
    mailbox: Mailbox[int] = b.scheduler.mailbox(asyncio.get_running_loop())
    job = Adding([1], [1] * 9, mailbox=mailbox)
    b.scheduler.submit(job)
    await asyncio.to_thread(job.wait)
    await asyncio.to_thread(b.scheduler.drain, 5)
    async with asyncio.timeout(20):
        while mailbox._end is None:  # noqa: ASYNC110  (to wait for it by its own means would be a look)
            await asyncio.sleep(0.001)
    assert [items async for items in mailbox] == [list(range(1, 11))]


async def test_a_whole_batch_wakes_the_loop_once(bench: MakeBench) -> None:
    b = bench()
    loop = asyncio.get_running_loop()
    mailboxes: list[Mailbox[int]] = [b.scheduler.mailbox(loop) for _ in range(20)]
    b.engine.pause()
    for n, mailbox in enumerate(mailboxes):
        b.scheduler.submit(Adding([n + 1], [1, 2], mailbox=mailbox))
    counting = Counting(loop)
    b.engine.resume()
    sums = await asyncio.gather(*map(read, mailboxes))
    assert sums == [[total for (total,) in alone([n + 1], [1, 2])] for n in range(20)]
    assert counting.calls <= len(b.engine.batches)


async def test_the_error_of_a_failed_job_comes_after_its_items(bench: MakeBench) -> None:
    b = bench()
    mailbox: Mailbox[int] = b.scheduler.mailbox(asyncio.get_running_loop())
    b.scheduler.submit(Adding([1], [1, POISON], mailbox=mailbox))
    got: list[int] = []
    while len(got) < 2:
        got += await anext(mailbox)
    assert got == [1, 2]
    for _ in range(2):
        with pytest.raises(StepFailed):
            await anext(mailbox)


async def test_a_mailbox_of_a_job_that_was_refused_can_be_failed_from_the_loop(bench: MakeBench) -> None:
    mailbox: Mailbox[int] = bench().scheduler.mailbox(asyncio.get_running_loop())
    mailbox.fail(Overloaded("full"))
    with pytest.raises(Overloaded):
        await asyncio.wait_for(anext(mailbox), 5)


async def test_a_mailbox_is_ended_by_a_close_of_the_scheduler(bench: MakeBench) -> None:
    b = bench()
    mailbox: Mailbox[int] = b.scheduler.mailbox(asyncio.get_running_loop())
    b.engine.pause()
    b.scheduler.submit(Adding([1], [1], mailbox=mailbox))
    b.engine.wait_for_batch()
    closing = asyncio.create_task(asyncio.to_thread(b.scheduler.close))
    await until(lambda: b.scheduler._closing)
    b.engine.resume()
    await closing
    with pytest.raises(Draining):
        await read(mailbox)


async def test_what_a_job_is_told_at_its_end_arrives_though_the_scheduler_is_closed_in_that_moment(
    bench: MakeBench,
) -> None:
    b = bench()
    mailbox: Mailbox[int] = b.scheduler.mailbox(asyncio.get_running_loop())
    closing = threading.Thread(target=b.scheduler.close)

    def close() -> None:
        """On the scheduler's thread, before the job ends."""
        closing.start()
        wait_until(lambda: b.scheduler._closing)

    b.scheduler.submit(Adding([1], [], mailbox=mailbox, on_advance=close))
    assert await asyncio.wait_for(read(mailbox), 30) == [1]
    await asyncio.to_thread(closing.join)


async def test_what_comes_after_the_end_is_dropped(bench: MakeBench) -> None:
    mailbox: Mailbox[int] = bench().scheduler.mailbox(asyncio.get_running_loop())
    mailbox.put(1)
    mailbox.close()
    mailbox.put(2)
    mailbox.fail(InvalidInput("late"))
    assert await read(mailbox) == [1]
    assert await read(mailbox) == []


async def test_no_wake_up_is_lost_between_a_look_and_a_wait() -> None:
    """Every turn the reader looks, finds nothing and waits while another thread writes at any moment."""
    post = Post()
    mailbox: Mailbox[int] = Mailbox(post, asyncio.get_running_loop())

    def write() -> None:
        post.adopt_thread()
        for n in range(3000):
            mailbox.put(n)
            if n % 3 == 0:
                post.flush()
        mailbox.close()
        post.flush()

    writer = threading.Thread(target=write)
    writer.start()
    assert await asyncio.wait_for(read(mailbox), 30) == list(range(3000))
    writer.join()


async def test_a_reader_who_was_cancelled_can_read_on(bench: MakeBench) -> None:
    mailbox: Mailbox[int] = bench().scheduler.mailbox(asyncio.get_running_loop())
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(anext(mailbox), 0.01)
    mailbox.put(1)
    assert await asyncio.wait_for(anext(mailbox), 5) == [1]


async def test_who_breaks_over_what_came_breaks_alone_and_what_comes_later_still_comes() -> None:
    loop, post = asyncio.get_running_loop(), Post()
    mailbox: Mailbox[int] = Mailbox(post, loop)
    broken: list[object] = []
    loop.set_exception_handler(lambda loop, context: broken.append(context["exception"]))

    def breaks(content: object) -> None:
        raise RuntimeError("a bug in a sink")

    post.adopt_thread()
    for number in range(3):
        post.send(loop, breaks, number)
        post.send(loop, mailbox.take, number)
        mailbox.put(number + 10)
        post.flush()
        await asyncio.sleep(0)
    mailbox.close()
    post.flush()
    assert await asyncio.wait_for(read(mailbox), 5) == [0, 10, 1, 11, 2, 12]
    assert len(broken) == 3


def test_a_mailbox_whose_loop_is_closed_hurts_nobody(bench: MakeBench) -> None:
    b = bench()
    gone = asyncio.new_event_loop()
    dead: Mailbox[int] = b.scheduler.mailbox(gone)
    gone.close()

    async def living() -> list[int]:
        mailbox: Mailbox[int] = b.scheduler.mailbox(asyncio.get_running_loop())
        b.engine.pause()
        b.scheduler.submit(Adding([1], [1], mailbox=dead))
        b.scheduler.submit(Adding([2], [2], mailbox=mailbox))
        b.engine.resume()
        return await read(mailbox)

    assert asyncio.run(living()) == [2, 4]
    dead.put(3)
