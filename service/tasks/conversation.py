"""A conversation with a model: input that comes in pieces, and answers in between.

Where the session stands changes only when the model has taken what came: a feed or an answer that fails, or that its
caller walks away from, leaves the session where it was. Each request that changes the session is a turn; one that
comes again with its turn's number is answered from the log, and a generate that was cut off is gone on with.
"""

import hashlib
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from typing import Any

from service.config import LimitSettings
from service.errors import InvalidInput, NotPossible, OutOfRange, TurnConflict
from service.scheduler import Mailbox
from service.sessions import NEW, Reading, Session, Standing, Turn, Unfinished
from service.tasks.answers import Answer, digest_of, from_log, to_log
from service.tasks.decoding import DecodingOptions, Found, Plan
from service.tasks.intake import Given, Taken, content_of
from service.tasks.jobs import Program, run, run_streaming
from service.tasks.kind import Followed, Follows, Writes
from service.tasks.kinds import kind_of
from service.tasks.look import Look
from service.tasks.outputs import Hypothesis, TokenWriter, hypotheses_of
from service.tasks.reader import Read
from service.tasks.said import NOTHING_SAID, Said
from service.tasks.writing import Writing


class Conversation:
    """Works off the requests of the stream that holds a session, one at a time."""

    def __init__(
        self,
        session: Session,
        limits: LimitSettings,
        on_repeated: Callable[[str], None] = lambda outcome: None,
    ) -> None:
        """`on_repeated` is told when a turn comes again: that it was answered, or refused."""
        self.session = session
        self._on_repeated = on_repeated
        self._served = session.served
        self._kind = kind_of(session.served, limits, session.manner)
        # Asked once: the check of a protocol looks at every member of it, too much for each feed.
        self._follows = self._kind if isinstance(self._kind, Follows) else None
        inspect = session.manner.get("inspect")
        self._look = Look.from_json(inspect) if inspect else None

    async def feed(
        self, given: Given, *, ends: bool = False, input_position: int | None = None, turn: int | None = None
    ) -> Answer:
        """Read more input; `ends` says that the text is over. What is said to it depends on the kind of model."""
        digest = digest_of("feed", content_of(given), ends)
        if done := self._done_before(turn, digest):
            return self._again(done)
        self._check_position(input_position)
        standing = self.session.standing.for_input()
        intake = self._kind.intake(standing.pending)
        taken = await intake.take(given, ends)
        self._check_room(standing, len(taken))
        reading, outputs = await self._read(taken, standing.reading)
        said, pending = self._kind.say(taken, outputs, reading, intake.pending())
        if self._look:
            said = replace(said, traces=self._look.traces(outputs))
        standing = standing.read(reading, pending)
        answer, found = self._answer(standing, said), None
        if self._follows is not None:
            followed = await run(self._served.scheduler, self._follows.follow(standing, taken, ends))
            standing, found = followed.standing, followed.found
            answer = self._followed(self._answer(standing, said), followed)
        log = to_log(answer, [found] if found else ())
        self.session.accept(digest, log, standing.ended() if ends else standing, len(answer.tokens))
        return answer

    def _followed(self, answer: Answer, followed: Followed) -> Answer:
        """The answer with what was written."""
        tokenizer, found = self._served.bundle.tokenizer, followed.found
        tokens = TokenWriter(tokenizer).write((*followed.before, *followed.fresh))[len(followed.before) :]
        return replace(answer, tokens=tokens, hypotheses=hypotheses_of(tokenizer, [found]) if found else None)

    async def generate(
        self, options: DecodingOptions, *, output_position: int | None = None, turn: int | None = None
    ) -> AsyncGenerator[Answer, None]:
        """End the text and write the output; the answer that carries the hypotheses is the last.

        Tokens up to `output_position` are not sent; by default all of this turn are, also when it is gone on with.
        """
        digest = digest_of("generate", *options.identity())
        if done := self._done_before(turn, digest):
            again = self._again(done)
            yield _after(again, again.output_position - len(again.tokens), output_position)
            return
        standing = self.session.standing
        writer = self._writer()
        rest = writer.intake(standing.pending).finish()
        writer.check_begun(standing, rest)
        self._check_room(standing, len(rest))
        _check_output_position(output_position, standing.output_position)
        plan = replace(self._plan(options), first=writer.first(rest))
        async with aclosing(self._write(digest, writer, standing, rest, plan)) as answers:
            async for answer in answers:
                answer = _after(answer, answer.output_position - len(answer.tokens), output_position)
                if answer.tokens or answer.hypotheses:
                    yield answer

    async def rewind(self, after_turn: int, *, turn: int | None = None) -> Answer:
        """Go back to where the session stood after an earlier turn; -1 is the beginning. An unfinished turn
        is given up.
        """
        digest = digest_of("rewind", after_turn)
        if done := self._done_before(turn, digest):
            return self._again(done)
        standing = NEW if after_turn == -1 else self.session.log.standing_after(after_turn)
        answer = self._answer(standing)
        self.session.accept(digest, to_log(answer), standing)
        return answer

    async def _write(
        self, digest: str, kind: Writes, standing: Standing, rest: Taken, plan: Plan
    ) -> AsyncGenerator[Answer, None]:
        """Every token of the turn, those that were written before it was gone on with too."""
        unfinished, turn = self._begun(digest), self.session.log.next_turn
        writing = Writing(plan, unfinished)
        pen, num_read = TokenWriter(self._served.bundle.tokenizer), standing.input_position + len(rest)
        before = pen.write(writing.written)
        position = standing.output_position + len(before)
        if before:
            yield Answer(num_read, position, tokens=before, turn=turn)
        program = partial(_written, writing, kind, standing, rest, plan)
        try:
            async with aclosing(run_streaming(self._served.scheduler, program)) as all_progress:
                async for progress in all_progress:
                    (found, after), whole = progress.answer or (None, standing), None
                    fresh = writing.follow(progress.items, found)
                    tokens = pen.write(fresh, found[0].last_chars if found else None)
                    position += len(tokens)
                    self.session.steps += len(tokens)
                    if found is not None:
                        whole = self._accept(digest, after, found)
                    yield Answer(num_read, position, tokens=tokens, hypotheses=whole, turn=turn)
        finally:
            self._put_down(unfinished, writing)

    def _plan(self, options: DecodingOptions) -> Plan:
        """How the options are carried out in the next turn; wherever that is run again, it draws the same."""
        if options.replace_unknowns:
            raise NotPossible("a session does not keep its source words: replace_unknowns is for whole texts")
        turn = f"{self.session.id}/{self.session.log.next_turn}"
        seed = int.from_bytes(hashlib.blake2b(turn.encode(), digest_size=8).digest())
        return Plan.of(self._served.bundle, options, seed=seed, field="generate.options")

    def _begun(self, digest: str) -> Unfinished:
        """What was begun with the same request, or a new beginning, which gives up what was begun before."""
        unfinished = self.session.unfinished
        if unfinished is None or unfinished.digest != digest:
            unfinished = self.session.unfinished = Unfinished(digest)
        return unfinished

    def _put_down(self, unfinished: Unfinished, writing: Writing) -> None:
        """Keep what can be gone on with; what has not got so far was never begun."""
        writing.stop()
        if self.session.unfinished is unfinished and unfinished.search is None:
            self.session.unfinished = None

    def _accept(self, digest: str, standing: Standing, found: list[Found]) -> tuple[Hypothesis, ...]:
        """Move the session on, now that the output is whole."""
        self.session.accept(digest, to_log(self._answer(standing), found), standing, len(found[0].tokens))
        return hypotheses_of(self._served.bundle.tokenizer, found)

    def _answer(self, standing: Standing, said: Said = NOTHING_SAID) -> Answer:
        """An answer to the turn that comes next."""
        turn = self.session.log.next_turn
        return Answer(standing.input_position, standing.output_position, said, turn=turn)

    def _again(self, done: Turn) -> Answer:
        bundle = self._served.bundle
        return from_log(done.answer, done.number, bundle.tokenizer if bundle.manifest.tokenizer else None)

    async def _read(self, taken: Taken, reading: Reading) -> Read:
        if not len(taken):
            return Read(reading, ())
        return await run(self._served.scheduler, self._kind.reader.read(taken.array, reading, self._look))

    def _writer(self) -> Writes:
        if isinstance(self._kind, Writes):
            return self._kind
        raise NotPossible(
            f"{self._served.manifest.name} cannot generate: what it has to say comes with each feed"
        )

    def _done_before(self, turn: int | None, digest: str) -> Turn | None:
        """The turn, where it was done already."""
        try:
            done = self.session.check_turn(turn, digest)
        except (TurnConflict, OutOfRange):
            self._on_repeated("refused")
            raise
        if done:
            self._on_repeated("answered")
        return done

    def _check_position(self, position: int | None) -> None:
        stands_at = self.session.standing.input_position
        if position is not None and position != stands_at:
            raise OutOfRange(
                f"the session stands at input position {stands_at}, not {position}",
                field="feed.input_position",
            )

    def _check_room(self, standing: Standing, num_more: int) -> None:
        total, limit = standing.reading.num_tokens + num_more, self._kind.max_inputs
        if limit is not None and total > limit:
            raise InvalidInput(
                f"the text would have {total:,} tokens with this; {self._served.manifest.name} reads at most "
                f"{limit:,}. The session stands where it stood: generate, or open another",
                field="feed",
            )


def _written(
    writing: Writing, kind: Writes, standing: Standing, rest: Taken, plan: Plan, sink: Mailbox[Any] | None
) -> Program[tuple[list[Found], Standing]]:
    """What is found, and where the session stands then."""
    found = yield from writing.program(partial(kind.begin, standing, rest, plan), sink)
    return found, (yield from kind.wrote(standing, rest, writing.search, found))


def _after(answer: Answer, start: int, output_position: int | None) -> Answer:
    """The answer without the tokens up to a position; its first one comes after `start`."""
    if output_position is None:
        return answer
    return replace(answer, tokens=answer.tokens[max(0, output_position - start) :])


def _check_output_position(position: int | None, start: int) -> None:
    if position is not None and position < start:
        raise OutOfRange(
            f"this turn writes from output position {start} on; what comes after {position} belongs to earlier turns",
            field="generate.output_position",
        )
