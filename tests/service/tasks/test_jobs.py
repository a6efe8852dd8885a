import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from functools import partial

import numpy as np
import pytest

from service.config import SchedulerSettings
from service.errors import InvalidInput, Overloaded, SeqserveError, StepFailed
from service.registry import Served
from service.scheduler import Mailbox, Scheduler
from service.step import NOTHING, Arrays, Ask, Step
from service.tasks.jobs import Program, run_all, run_streaming
from tests.fakes.toy_server import engine_of
from tests.fakes.toy_translator import POISON
from tests.fakes.waiting import until


def adding(*chunks: Sequence[int]) -> Program[int]:
    """The sum of all tokens, one step for each chunk."""
    state: Arrays = NOTHING
    total = 0
    for chunk in chunks:
        [result] = yield [Step("classify", {"tokens": np.array(chunk)}, state)]
        state, total = result.state, int(result.state["total"][0])
    return total


def telling(tokens: Sequence[int], mailbox: Mailbox[int]) -> Program[str]:
    for token in tokens:
        yield from adding([token])
        mailbox.put(token)
    return "done"


async def test_answers_come_in_the_order_of_the_programs(classifier: Served) -> None:
    programs = [adding([1], [2], [3]), adding([10]), adding([5], [5])]
    assert await run_all(classifier.scheduler, programs) == [6, 10, 10]


async def test_a_program_without_steps_answers(classifier: Served) -> None:
    assert await run_all(classifier.scheduler, [adding(), adding([7])]) == [0, 7]


async def test_one_failure_fails_all_and_takes_the_others_along(classifier: Served) -> None:
    engine = engine_of(classifier)
    with pytest.raises(StepFailed, match="diez cannot be read"):
        await run_all(classifier.scheduler, [adding(*[[1]] * 10**6), adding([POISON])])
    await idle(classifier.scheduler)
    assert engine.rows["classify"] < 1000


async def test_an_error_of_the_program_itself_fails_its_caller_only(classifier: Served) -> None:
    def broken() -> Program[int]:
        yield [Step("classify", {"tokens": np.array([1])})]
        raise InvalidInput("so it is")

    answers = await asyncio.gather(
        run_all(classifier.scheduler, [broken()]),
        run_all(classifier.scheduler, [adding([1])]),
        return_exceptions=True,
    )
    assert isinstance(answers[0], InvalidInput)
    assert answers[1] == [1]


async def test_a_caller_who_leaves_frees_its_slots(classifier: Served) -> None:
    engine = engine_of(classifier)
    engine.hold()
    caller = asyncio.create_task(run_all(classifier.scheduler, [adding(*[[1]] * 100), adding(*[[2]] * 100)]))
    await asyncio.to_thread(engine.running.wait)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    engine.let_go()
    await idle(classifier.scheduler)
    assert engine.rows["classify"] <= 2


async def test_a_caller_who_is_refused_leaves_nothing_behind(classifier: Served) -> None:
    classifier.scheduler._admission._settings = SchedulerSettings(max_queue=2)
    engine = engine_of(classifier)
    engine.hold()
    with pytest.raises(Overloaded):
        await run_all(classifier.scheduler, [adding(*[[1]] * 100) for _ in range(3)])
    engine.let_go()
    await idle(classifier.scheduler)
    assert engine.rows["classify"] == 0


async def test_what_came_while_the_reader_was_busy_comes_together(classifier: Served) -> None:
    engine = engine_of(classifier)
    engine.hold()
    async with aclosing(run_streaming(classifier.scheduler, partial(telling, [1, 2, 3, 4, 5]))) as progress:
        engine.let(1)
        first = await anext(progress)
        assert (first.items, first.answer) == ([1], None)
        engine.let(4)
        await idle(classifier.scheduler)
        rest = await anext(progress)
        assert (rest.items, rest.answer) == ([2, 3, 4, 5], "done")
        with pytest.raises(StopAsyncIteration):
            await anext(progress)


async def test_a_reader_who_closes_ends_the_program(classifier: Served) -> None:
    engine = engine_of(classifier)
    async with aclosing(run_streaming(classifier.scheduler, partial(telling, [1] * 10**6))) as progress:
        await anext(progress)
    await idle(classifier.scheduler)
    assert engine.rows["classify"] < 200_000


async def idle(scheduler: Scheduler) -> None:
    """Wait until no job is with the scheduler, and its mail has arrived."""
    await until(lambda: not scheduler._active)
    last = Last(scheduler.mailbox(asyncio.get_running_loop()))
    scheduler.submit(last)
    assert [items async for items in last.mailbox] == []


class Last:
    """Does nothing; its mail comes after that of those before it."""

    def __init__(self, mailbox: Mailbox[int]) -> None:
        self.mailbox = mailbox

    def begin(self) -> Ask:
        self.mailbox.close()
        return []

    def advance(self, told: object) -> Ask:
        raise AssertionError("it asked for nothing")

    def fail(self, error: SeqserveError) -> None:
        self.mailbox.fail(error)
