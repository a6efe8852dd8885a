import asyncio

from seqserve.v1.multiplex_pb2 import Frame
from service.multiplex.outbox import MAX_FRAMES, MAX_WAITING, Outbox


async def test_what_is_laid_in_before_it_is_fetched_goes_together_up_to_a_bound() -> None:
    outbox = Outbox()
    for call in range(MAX_FRAMES + 1):
        outbox.lay(Frame(call=call))
    first = await outbox.next()
    assert first is not None
    assert [frame.call for frame in first] == list(range(MAX_FRAMES))
    assert [frame.call for frame in await outbox.next() or ()] == [MAX_FRAMES]
    outbox.end()
    assert await outbox.next() is None


async def test_who_would_be_answered_waits_while_nobody_fetches_the_answers() -> None:
    outbox = Outbox()
    for call in range(MAX_WAITING + 1):
        outbox.lay(Frame(call=call))
    waiting = asyncio.create_task(outbox.room())
    await asyncio.sleep(0.01)
    assert not waiting.done()
    await outbox.next()
    await waiting
