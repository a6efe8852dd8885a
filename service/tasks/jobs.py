"""Programs: a job written as a generator that yields steps and is sent their results.

    def program():
        results = yield [step]              # the scheduler runs the step in some batch
        results = yield [step, another]     # results come in the order of the steps
        return answer                       # ends the job

One program calls another with `yield from`: first the text is read, then the output is searched for.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

from service.errors import SeqserveError
from service.scheduler import Mailbox, Scheduler
from service.step import Job, Result, Step

T = TypeVar("T")
U = TypeVar("U")

Program = Generator[Sequence[Step], Sequence[Result], T]
Emit = Callable[[U], None]


class ProgramJob(Generic[T]):
    """Runs a program as a job; its answer goes to `done`, or the reason why there is none to `failed`."""

    def __init__(
        self, program: Program[T], done: Callable[[T], None], failed: Callable[[SeqserveError], None]
    ) -> None:
        self._program = program
        self._done = done
        self._failed = failed

    def begin(self) -> Sequence[Step]:
        return self._go_on(None)

    def advance(self, results: Sequence[Result]) -> Sequence[Step]:
        return self._go_on(results)

    def fail(self, error: SeqserveError) -> None:
        self._program.close()
        self._failed(error)

    def _go_on(self, results: Sequence[Result] | None) -> Sequence[Step]:
        try:
            return self._program.send(results)  # type: ignore[arg-type]  # the first send of a generator is None
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
    with _submitted(scheduler, jobs):
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


async def run_streaming(
    scheduler: Scheduler, program_with: Callable[[Emit[U]], Program[T]]
) -> AsyncGenerator[Progress[U, T], None]:
    """What a program emits as it comes, and its answer. Close the iterator to cancel the program."""
    mailbox: Mailbox[tuple[bool, U | T]] = scheduler.mailbox(asyncio.get_running_loop())
    program = program_with(lambda item: mailbox.put((False, item)))
    job = ProgramJob(program, lambda answer: mailbox.put((True, answer)), mailbox.fail)
    with _submitted(scheduler, [job]):
        async for items in mailbox:
            yield _progress(items)
            if items[-1][0]:
                return


def _progress(items: Sequence[tuple[bool, U | T]]) -> "Progress[U, T]":
    emitted = [item for is_answer, item in items if not is_answer]
    is_over, last = items[-1]
    return Progress(emitted, last if is_over else None)  # type: ignore[arg-type]  # the flag tells the two apart


def _numbered(index: int, program: Program[T], mailbox: "Mailbox[tuple[int, T]]") -> ProgramJob[T]:
    return ProgramJob(program, lambda answer: mailbox.put((index, answer)), mailbox.fail)


@contextmanager
def _submitted(scheduler: Scheduler, jobs: Sequence[Job]) -> Iterator[None]:
    """All jobs are with the scheduler while inside, and what is unfinished on the way out is cancelled."""
    try:
        for job in jobs:
            scheduler.submit(job)
        yield
    finally:
        for job in jobs:
            scheduler.cancel(job)
