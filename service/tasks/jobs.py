"""Programs: a job written as a generator that yields what it asks for and is sent what became of it.

    def program():
        results = yield [step]              # the scheduler runs the step in some batch
        results = yield [step, another]     # results come in the order of the steps
        rolled = yield rollout              # a sequence that writes itself, resident in its batch until its end
        return answer                       # ends the job

One program calls another with `yield from`: first the text is read, then the output is searched for.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

from service.errors import SeqserveError
from service.scheduler import Mailbox, Scheduler
from service.step import Ask, Job, Told

T = TypeVar("T")
U = TypeVar("U")

Program = Generator[Ask, Any, T]
"""What is sent to it is `Told`, of the kind that fits what it asked for."""


def known(answer: T) -> Program[T]:
    """A program that asks for nothing."""
    yield from ()
    return answer


class ProgramJob(Generic[T]):
    """Runs a program as a job; its answer goes to `done`, or the reason why there is none to `failed`."""

    def __init__(
        self, program: Program[T], done: Callable[[T], None], failed: Callable[[SeqserveError], None]
    ) -> None:
        self._program = program
        self._done = done
        self._failed = failed

    def begin(self) -> Ask:
        return self._go_on(None)

    def advance(self, told: Told) -> Ask:
        return self._go_on(told)

    def fail(self, error: SeqserveError) -> None:
        self._program.close()
        self._failed(error)

    def _go_on(self, told: Told | None) -> Ask:
        try:
            return self._program.send(told)
        except StopIteration as end:
            self._done(end.value)
            return ()


async def run(scheduler: Scheduler, program: Program[T]) -> T:
    """The answer of one program."""
    return (await run_all(scheduler, [program]))[0]


async def run_all(scheduler: Scheduler, programs: Sequence[Program[T]]) -> list[T]:
    """The answers of all programs, in order, or the first failure; whoever leaves takes all of them along."""
    answers: dict[int, T] = {}
    mailbox: Mailbox[tuple[int, T]] = scheduler.mailbox(asyncio.get_running_loop())
    jobs = [_numbered(index, program, mailbox) for index, program in enumerate(programs)]
    with Submitted(scheduler, jobs):
        async for items in mailbox:
            answers.update(items)
            if len(answers) == len(jobs):
                break
    return [answers[index] for index in range(len(jobs))]


@dataclass(frozen=True, slots=True)
class Progress(Generic[U, T]):
    """What came since the last look; `answer` with the last one only."""

    items: Sequence[U]
    answer: T | None


class _Answer(NamedTuple):
    """The last thing in the mailbox of a streaming program."""

    value: Any


async def run_streaming(
    scheduler: Scheduler, program_with: Callable[[Mailbox[U]], Program[T]]
) -> AsyncGenerator[Progress[U, T], None]:
    """What a program puts into the mailbox as it comes, and its answer. Close the iterator to cancel the program."""
    mailbox: Mailbox[Any] = scheduler.mailbox(asyncio.get_running_loop())
    job = ProgramJob(program_with(mailbox), lambda answer: mailbox.put(_Answer(answer)), mailbox.fail)
    with Submitted(scheduler, [job]):
        async for items in mailbox:
            if isinstance(items[-1], _Answer):
                yield Progress(items[:-1], items[-1].value)
                return
            yield Progress(items, None)


def _numbered(index: int, program: Program[T], mailbox: "Mailbox[tuple[int, T]]") -> ProgramJob[T]:
    return ProgramJob(program, lambda answer: mailbox.put((index, answer)), mailbox.fail)


class Submitted:
    """All jobs are with the scheduler while inside, and what is unfinished on the way out is cancelled."""

    __slots__ = ("_jobs", "_scheduler")

    def __init__(self, scheduler: Scheduler, jobs: Sequence[Job]) -> None:
        self._scheduler = scheduler
        self._jobs = jobs

    def __enter__(self) -> None:
        self._scheduler.submit(*self._jobs)

    def __exit__(self, *_: object) -> None:
        for job in self._jobs:
            self._scheduler.cancel(job)
