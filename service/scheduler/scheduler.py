"""The loop that turns the steps of many jobs into batches: wait, admit, take, run, answer.

submit ──▶ arrivals ─▶ begin ─▶ ┌ queue of graph encode ┐ take   run    answer: advance ─▶ queues, or the end
(any thread)                    │ queue of graph step   │ ─────▶ engine ──▶     └▶ mailboxes ─▶ event loop
                                └ benches of rollouts   ┘
"""

import asyncio
import heapq
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import count
from typing import Any

from service import interpreter
from service.config import SchedulerSettings
from service.engine import Engine
from service.errors import Draining, SeqserveError, StepFailed, TimedOut
from service.metrics import Metrics
from service.priority import CURRENT as PRIORITY
from service.scheduler.admission import Admission
from service.scheduler.faults import Faults
from service.scheduler.mailbox import Mailbox, Post
from service.scheduler.meter import Meter, stage_of
from service.scheduler.queues import Queues, Waiting
from service.scheduler.rollouts import Rollouts
from service.scheduler.run import Run
from service.scheduler.turns import Turns
from service.spans import Stages
from service.step import Ask, Job, Result, Rolled, Rollout, Step
from service.until import CURRENT as UNTIL
from service.until import FOR_EVER

LAST_BATCH_S = 5.0
"""How long an engine may take over the batch that is running when everything is to end."""
INTERRUPTED_S = 2.0
"""How long it may take to end then, when it has been interrupted."""

# `except BaseException` stands here on purpose: nothing is above this thread that could do anything about it.


class Scheduler:
    """Runs jobs on a thread of its own, in batches that jobs join and leave between any two steps.

    Guarantees: every accepted job ends exactly once (its last `advance`, `fail`, or a cancellation), whatever its
    batch-mates, the engine or other jobs do; nothing ends the loop. A job is only called on the scheduler's thread.
    """

    def __init__(self, engine: Engine, settings: SchedulerSettings, metrics: Metrics, name: str) -> None:
        """Start the thread. `name` is the label of its metrics, such as `tatoeba-es-en/1`."""
        self._engine = engine
        self._name = name
        self._admission = Admission(name, settings)
        self._queues = Queues(engine.manifest.graphs, settings)
        self._rollouts = Rollouts(engine, settings)
        self._turns = Turns()
        self._meter = Meter(metrics, name, list(engine.manifest.graphs))
        self._faults = Faults(engine, settings.max_run_s)
        self._post = Post()
        self._changed = threading.Condition()
        # What follows is guarded by `_changed`.
        self._active: dict[int, Run] = {}
        self._arrivals: list[Run] = []
        self._patience: list[tuple[float, int, Run]] = []
        """A heap of those who do not wait for ever; only the scheduler's thread touches it."""
        self._tickets = count()
        self._accepting = True
        self._stopping = False
        self._closing = False
        self._someone_left = False
        self._meter.watch(
            lambda: len(self._active),
            lambda: len(self._queues) + self._rollouts.num_waiting,
            lambda: self._rollouts.num_seated,
        )
        self._meter.bounded(settings.max_queue, settings.max_batch)
        self._thread = threading.Thread(target=self._loop, name=f"scheduler {name}", daemon=True)
        self._thread.start()

    def check_room(self, num_jobs: int = 1) -> None:
        """Overloaded where so many jobs would not be accepted now; Draining. From any thread."""
        with self._changed:
            self._check_room(num_jobs)

    def submit(self, *jobs: Job) -> None:
        """Accept all the jobs of one caller, or none, with the present priority, from any thread.

        Overloaded at once where they would wait too long, or come to their end too late for him; Draining.
        """
        with self._changed:
            self._check_room(len(jobs))
            if any(id(job) in self._active for job in jobs):
                raise ValueError("this job is under way already")
            arrival = self._admission.began(len(self._active) + len(jobs))
            for job in jobs:
                run = Run(job, arrival, Stages.begin("wait", model=self._name), PRIORITY.get(), UNTIL.get())
                self._active[id(job)] = run
                self._arrivals.append(run)
            self._changed.notify_all()

    def cancel(self, job: Job) -> None:
        """Forget a job, from any thread, at once and for good; nothing happens if it has ended.

        A call of the job that is under way on the scheduler's thread runs to its end; no other follows.
        """
        with self._changed:
            run = self._active.get(id(job))
        if run is not None and self._claim(run):
            self._forget(run, "cancelled")

    @property
    def trouble(self) -> str:
        """Why the model does not work at the moment; empty while it does."""
        return self._faults.why

    def tend(self) -> None:
        """To be called every second: end a run that does not end, and try graphs again that fail."""
        self._faults.interrupt()
        for trial in self._faults.trials():
            try:
                self.submit(trial)
            except SeqserveError:  # full, or going away
                self._faults.drop(trial)

    def mailbox(self, loop: asyncio.AbstractEventLoop) -> Mailbox[Any]:
        """Make a mailbox through which a job's methods reach `loop`."""
        return Mailbox(self._post, loop)

    def stop_accepting(self) -> None:
        """Refuse new jobs from now on, with Draining; those accepted go on."""
        with self._changed:
            self._accepting = False

    def drain(self, timeout: float) -> bool:
        """Stop accepting, wait for the jobs to end, fail with Draining what is left after `timeout` seconds.

        Blocks. Returns whether all ended by themselves.
        """
        self.stop_accepting()
        with self._changed:
            if self._changed.wait_for(lambda: not self._active, timeout):
                return True
            self._stopping = True
            self._changed.notify_all()
            if not self._changed.wait_for(lambda: not self._active, LAST_BATCH_S):
                self._engine.interrupt()
                self._changed.wait_for(lambda: not self._active, INTERRUPTED_S)
            return False

    def close(self) -> None:
        """Fail with Draining what is left and end the thread."""
        with self._changed:
            self._accepting = False
            self._stopping = self._closing = True
            self._changed.notify_all()
        self._thread.join(LAST_BATCH_S)
        if self._thread.is_alive():
            self._engine.interrupt()
            self._thread.join(INTERRUPTED_S)
        self._meter.watch(lambda: 0, lambda: 0, lambda: 0)

    def _check_room(self, num_jobs: int) -> None:
        if not self._accepting:
            raise Draining("the server is going away; ask another, or this one again in a while")
        self._admission.check(len(self._active), num_jobs, UNTIL.get())

    # The loop, on the scheduler's own thread.

    def _loop(self) -> None:
        interpreter.compute()
        self._post.adopt_thread()
        while self._wait():
            try:
                self._cycle()
            except BaseException as error:
                self._meter.bug("scheduler_broke", error)
                self._fail_all(StepFailed("a fault in the server's scheduler; the request was not finished"))
                self._post.flush()
        self._post.flush()  # what those were told who came to their end as it was closed

    def _cycle(self) -> None:
        self._admit()
        self._seat()
        if self._turns.is_for_rollouts(len(self._rollouts), len(self._queues)):
            self._roll()
        else:
            self._step()

    def _step(self) -> None:
        """A batch of the queues."""
        graph, batch = self._queues.take(partial(self._turns.max_tokens, num_rolling=len(self._rollouts)))
        self._post.flush()
        if batch:
            self._answer(batch, self._run(graph, batch))

    def _roll(self) -> None:
        """One step of the bench whose turn it is."""
        bench = self._rollouts.next()
        self._post.flush()
        if bench is None:
            return
        began, num, graph = time.monotonic(), len(bench), bench.wiring.graph
        self._faults.begin(graph)
        over = bench.run(self._post, self._run_apart)
        self._faults.end(graph, ran=len(over) < num or any(isinstance(told, Rolled) for _, told in over))
        self._meter.ran(graph, num, began)
        self._meter.wrote(*bench.wrote(time.monotonic()))
        self._turns.rolled(time.monotonic() - began)
        for run, outcome in over:
            self._conclude(run, outcome)

    def _seat(self) -> None:
        """Give the rollouts that have come their places."""
        if self._rollouts.num_waiting:
            seated, refused = self._rollouts.seat()
            self._meter.started(seated, "write")
            for run, outcome in refused:
                self._conclude(run, outcome)

    def _conclude(self, run: Run, outcome: Rolled | SeqserveError) -> None:
        if isinstance(outcome, SeqserveError):
            self._fail(run, outcome)
        else:
            self._proceed(run, partial(run.job.advance, outcome))

    def _wait(self) -> bool:
        """Wait until there is something to do; False when that is nothing any more."""
        if not self._has_work():
            self._post.flush()
        with self._changed:
            self._changed.wait_for(self._has_work)
            return not self._closing or bool(self._active)

    def _has_work(self) -> bool:
        return bool(
            self._arrivals
            or len(self._queues)
            or len(self._rollouts)
            or (self._stopping and self._active)
            or self._closing
        )

    def _admit(self) -> None:
        """Let go those who left or come too late, and begin those who came."""
        with self._changed:
            arrivals, self._arrivals = self._arrivals, []
            left, self._someone_left = self._someone_left, False
            stopping = self._stopping
        for run in arrivals:
            if run.until < FOR_EVER:
                heapq.heappush(self._patience, (run.until, next(self._tickets), run))
        if self._give_up() or left:
            self._purge()
        if stopping:
            self._fail_all(Draining("the server is going away; this request was not finished"))
        for run in arrivals:
            self._proceed(run, run.job.begin)

    def _give_up(self) -> bool:
        """End what comes too late for its caller, before anything more is computed for it; whether there was any."""
        now, found = time.monotonic(), False
        while self._patience and (self._patience[0][0] <= now or self._patience[0][2].ended):
            run = heapq.heappop(self._patience)[2]
            found = found or not run.ended
            self._fail(run, TimedOut("the time that the caller gave is over; the request was not finished"))
        return found

    def _run(self, graph: str, batch: Sequence[Waiting]) -> list[Result | SeqserveError]:
        self._meter.started([waiting.run for waiting in batch], stage_of(graph))
        began = time.monotonic()
        outcomes = self._try(graph, [waiting.step for waiting in batch])
        self._faults.end(graph, ran=any(isinstance(outcome, Result) for outcome in outcomes))
        outranked = self._rollouts.outrank(min(waiting.priority for waiting in batch))
        self._meter.ran(graph, len(batch), began)
        num_tokens = len(batch) * max(waiting.length for waiting in batch)
        self._turns.ran(graph, num_tokens, time.monotonic() - began, outranked=outranked)
        return outcomes

    def _try(self, graph: str, steps: Sequence[Step]) -> list[Result | SeqserveError]:
        """Run the steps; where they fail, halve them until only those that are to blame fail."""
        self._faults.begin(graph)
        try:
            results = self._engine.run(graph, steps)
            if len(results) != len(steps):
                raise StepFailed(f"graph {graph} answered {len(results)} of {len(steps)} steps")
            return list(results)
        except BaseException as error:
            return self._run_apart(graph, steps, error)

    def _run_apart(
        self, graph: str, steps: Sequence[Step], error: BaseException
    ) -> list[Result | SeqserveError]:
        """Run the halves of what failed; what did not end is not tried again."""
        self._meter.batch_failed(graph, len(steps), error)
        if self._faults.is_past_its_time():
            return [StepFailed(f"graph {graph} did not come to an end; its batch was given up")] * len(steps)
        if len(steps) == 1:
            return [_as_seqserve(error, f"a step of graph {graph} could not be run")]
        half = len(steps) // 2
        return self._try(graph, steps[:half]) + self._try(graph, steps[half:])

    def _answer(self, batch: Sequence[Waiting], outcomes: Sequence[Result | SeqserveError]) -> None:
        for waiting, outcome in zip(batch, outcomes, strict=True):
            run = waiting.run
            if isinstance(outcome, SeqserveError):
                self._fail(run, outcome)
            elif run.take_in(waiting.index, outcome):
                self._proceed(run, partial(run.job.advance, run.results))

    def _proceed(self, run: Run, call: Callable[[], Ask]) -> None:
        """Ask a job for its next steps; what it raises hurts nobody else."""
        if run.ended:
            return
        try:
            ask = call()
            if isinstance(ask, Rollout):
                self._rollouts.join(run, ask)
            else:
                run.expect(ask)
                self._queues.put(run, ask)
        except BaseException as error:
            if not isinstance(error, SeqserveError):
                self._meter.bug("job_broke", error)
            self._fail(run, _as_seqserve(error, "a fault in the server; the request was not finished"))
            return
        if not ask and self._claim(run):
            self._forget(run, "done")

    def _fail(self, run: Run, error: SeqserveError) -> None:
        if self._claim(run):
            try:
                run.job.fail(error)
            except BaseException as bug:
                self._meter.bug("job_broke", bug)
            self._forget(run, "failed")

    def _fail_all(self, error: SeqserveError) -> None:
        with self._changed:
            runs = list(self._active.values())
        for run in runs:
            self._fail(run, error)
        self._purge()

    def _purge(self) -> None:
        self._queues.purge()
        self._rollouts.purge()

    def _claim(self, run: Run) -> bool:
        """Claim the right to end a run: one caller gets it, and no step of the run is started any more."""
        with self._changed:
            mine, run.ended = not run.ended, True
            return mine

    def _forget(self, run: Run, outcome: str) -> None:
        """Give a claimed run's place to another."""
        with self._changed:
            del self._active[id(run.job)]
            self._admission.ended(run.arrival, len(self._active), done=outcome == "done")
            self._someone_left |= outcome != "done"
            self._meter.ended(run, outcome)
            self._changed.notify_all()


def _as_seqserve(error: BaseException, message: str) -> SeqserveError:
    """Keep the service's own errors; of others, only the log learns more than the message."""
    return error if isinstance(error, SeqserveError) else StepFailed(message)
