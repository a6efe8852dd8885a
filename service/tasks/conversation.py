"""A conversation with a model: text that comes in pieces, and answers in between.

Where the session stands changes only when the model has taken what came: a feed or an answer that fails, or that its
caller walks away from, leaves the session where it was. Each request that changes the session is a turn; one that
comes again with its turn's number is answered from the log, and a generate that was cut off is gone on with.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import astuple, replace
from functools import partial

from service.bundle.manifest import Manifest
from service.bundle.tokenizer import BOS, EOS, PAD, UNK, TextFeeder
from service.config import LimitSettings
from service.errors import InvalidInput, NotPossible, OutOfRange, TurnConflict
from service.sessions import NEW, Reading, Session, Standing, Turn, Unfinished
from service.sessions.session import Pending
from service.tasks.answers import Answer, digest_of, from_log, to_log
from service.tasks.classify import LabelScore, labels_of
from service.tasks.decoding import DecodingOptions, Found
from service.tasks.jobs import run, run_streaming
from service.tasks.outputs import Hypothesis, TokenWriter, hypotheses_of
from service.tasks.reader import Reader
from service.tasks.texts import cleaned_text, is_long
from service.tasks.writing import Writing

Input = str | Sequence[int] | None
"""Text, token ids, or nothing (where only the end of the text is told)."""


def check_streams(manifest: Manifest) -> None:
    """Raise NotPossible where a model cannot take its input piece by piece."""
    if not manifest.streams:
        instead = "Classify" if manifest.task == "classify" else "Translate or StreamTranslate"
        because = manifest.why_not_streaming or "it has to see the whole text at once"
        raise NotPossible(
            f"{manifest.name} cannot be fed in a session: {because}. Use {instead} with whole texts"
        )


class Conversation:
    """Works off the requests of the stream that holds a session, one at a time."""

    def __init__(
        self,
        session: Session,
        limits: LimitSettings,
        on_repeated: Callable[[str], None] = lambda outcome: None,
    ) -> None:
        """`on_repeated` is told when a turn comes again: that it was answered, or refused."""
        self._session = session
        self._on_repeated = on_repeated
        self._served = session.served
        self._reader = Reader.of(session.served.manifest)
        self._limits = limits

    async def feed(
        self, given: Input, *, ends: bool = False, input_position: int | None = None, turn: int | None = None
    ) -> Answer:
        """Read more input; `ends` says that the text is over. Classifiers answer with the labels so far."""
        digest = digest_of("feed", given if isinstance(given, str) else given and list(given), ends)
        if done := self._done_before(turn, digest):
            return self._again(done)
        self._check_position(input_position)
        standing = self._session.standing.for_input()
        tokens, pending = await self._taken(standing, given, ends)
        self._check_room(standing, len(tokens))
        reading = await self._read(tokens, standing.reading)
        standing = standing.read(reading, pending)
        is_classifier = self._served.manifest.task == "classify"
        labels = labels_of(self._served, reading) if is_classifier else ()
        answer = self._answer(standing, labels)
        self._session.accept(digest, to_log(answer), standing.ended() if ends else standing)
        return answer

    async def generate(
        self, options: DecodingOptions, *, output_position: int | None = None, turn: int | None = None
    ) -> AsyncGenerator[Answer, None]:
        """End the text and write the output; the answer that carries the hypotheses is the last.

        Tokens up to `output_position` are not sent; by default all of this turn are, also when it is gone on with.
        """
        digest = digest_of("generate", *astuple(options))
        if done := self._done_before(turn, digest):
            again = self._again(done)
            yield _after(again, again.output_position - len(again.tokens), output_position)
            return
        standing = self._session.standing
        start, rest = standing.output_position, self._feeder(standing).finish()
        self._check_can_write(standing, len(rest))
        _check_output_position(output_position, start)
        async with aclosing(self._write(digest, standing, rest, options)) as answers:
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
        standing = NEW if after_turn == -1 else self._session.log.standing_after(after_turn)
        answer = self._answer(standing)
        self._session.accept(digest, to_log(answer), standing)
        return answer

    async def _write(
        self, digest: str, standing: Standing, rest: Sequence[int], options: DecodingOptions
    ) -> AsyncGenerator[Answer, None]:
        """Every token of the turn, those that were written before it was gone on with too."""
        unfinished, turn = self._begun(digest), self._session.log.next_turn
        writing = Writing(self._reader, options, unfinished)
        writer, end = TokenWriter(self._served.bundle.tokenizer), standing.answered(len(rest), 0)
        before = writer.write(writing.written)
        position = end.output_position + len(before)
        if before:
            yield Answer(end.input_position, position, tokens=before, turn=turn)
        program = partial(writing.program, standing.reading, rest)
        try:
            async with aclosing(run_streaming(self._served.scheduler, program)) as all_progress:
                async for progress in all_progress:
                    writing.follow(progress.items)
                    tokens = writer.write(progress.items)
                    position += len(tokens)
                    self._session.steps += len(tokens)
                    whole = self._accepted(digest, end, progress.answer)
                    yield Answer(end.input_position, position, (), tokens, whole, turn)
        finally:
            self._put_down(unfinished, writing)

    def _done_before(self, turn: int | None, digest: str) -> Turn | None:
        """The turn, where it was done already."""
        try:
            done = self._session.check_turn(turn, digest)
        except (TurnConflict, OutOfRange):
            self._on_repeated("refused")
            raise
        if done:
            self._on_repeated("answered")
        return done

    def _begun(self, digest: str) -> Unfinished:
        """What was begun with the same request, or a new beginning, which gives up what was begun before."""
        unfinished = self._session.unfinished
        if unfinished is None or unfinished.digest != digest:
            unfinished = self._session.unfinished = Unfinished(digest)
        return unfinished

    def _put_down(self, unfinished: Unfinished, writing: Writing) -> None:
        """Keep what can be gone on with; what has not got so far was never begun."""
        writing.stop()
        if self._session.unfinished is unfinished and unfinished.search is None:
            self._session.unfinished = None

    def _accepted(
        self, digest: str, end: Standing, found: list[Found] | None
    ) -> tuple[Hypothesis, ...] | None:
        """Move the session on once the output is whole."""
        if found is None:
            return None
        standing = end.answered(0, len(found[0].tokens))
        self._session.accept(digest, to_log(self._answer(standing), found), standing, len(found[0].tokens))
        return hypotheses_of(self._served.bundle.tokenizer, found)

    def _answer(self, standing: Standing, labels: tuple[LabelScore, ...] = ()) -> Answer:
        """An answer to the turn that comes next."""
        turn = self._session.log.next_turn
        return Answer(standing.input_position, standing.output_position, labels, turn=turn)

    def _again(self, done: Turn) -> Answer:
        return from_log(done.answer, done.number, self._served.bundle.tokenizer)

    async def _read(self, tokens: Sequence[int], reading: Reading) -> Reading:
        return await run(self._served.scheduler, self._reader.read(tokens, reading)) if tokens else reading

    async def _taken(self, standing: Standing, given: Input, ends: bool) -> tuple[list[int], Pending]:
        """The tokens that are whole now, and what is still held back."""
        feeder = self._feeder(standing)
        if isinstance(given, str):
            tokens = await self._feed_text(feeder, given)
        else:
            tokens = [*feeder.finish(), *self._known(given)] if given else []
        if ends:
            tokens += feeder.finish()
        return tokens, feeder.state()

    async def _feed_text(self, feeder: TextFeeder, text: str) -> list[int]:
        text = cleaned_text(text, self._limits, "feed.text")
        tokens = await asyncio.to_thread(feeder.feed, text) if is_long([text]) else feeder.feed(text)
        if len(feeder.state()["pending"]) > self._limits.max_text_bytes:
            raise InvalidInput(
                "a word without end: white space is missing in what was fed", field="feed.text"
            )
        return tokens

    def _feeder(self, standing: Standing) -> TextFeeder:
        tokenizer = self._served.bundle.tokenizer
        held_back = standing.pending
        return TextFeeder.from_state(tokenizer, dict(held_back)) if held_back else tokenizer.feeder()

    def _known(self, ids: Sequence[int]) -> Sequence[int]:
        size = self._served.bundle.tokenizer.size
        for token in ids:
            if not 0 <= token < size or token in (PAD, BOS, EOS):
                raise InvalidInput(
                    f"{token} is not a token of text; expected ids from {UNK} to {size - 1}",
                    field="feed.token_ids",
                )
        return ids

    def _check_position(self, position: int | None) -> None:
        stands_at = self._session.standing.input_position
        if position is not None and position != stands_at:
            raise OutOfRange(
                f"the session stands at input position {stands_at}, not {position}",
                field="feed.input_position",
            )

    def _check_room(self, standing: Standing, num_more: int) -> None:
        """A text that is to be translated has a limit; one that is labelled as it goes has none."""
        manifest = self._served.manifest
        total, limit = standing.reading.num_tokens + num_more, manifest.limits.max_input_tokens
        if manifest.task == "translate" and total > limit:
            raise InvalidInput(
                f"the text would have {total:,} tokens with this; {manifest.name} reads at most {limit:,}. The session "
                "stands where it stood: generate, or open another",
                field="feed",
            )

    def _check_can_write(self, standing: Standing, num_more: int) -> None:
        manifest = self._served.manifest
        if manifest.task != "translate":
            raise NotPossible(
                f"{manifest.name} labels text and cannot generate; its answers come with each feed"
            )
        if standing.reading.num_tokens + num_more == 0:
            raise NotPossible("nothing was fed since the last output; feed some text, then generate")
        self._check_room(standing, num_more)


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
