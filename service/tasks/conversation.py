"""A conversation with a model: text that comes in pieces, and answers in between.

Where the session stands changes only when the model has taken what came: a feed or an answer that fails, or that its
caller walks away from, leaves the session where it was.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial

from service.bundle.manifest import Manifest
from service.bundle.tokenizer import BOS, EOS, PAD, UNK, TextFeeder
from service.config import LimitSettings
from service.errors import InvalidInput, NotPossible, OutOfRange
from service.sessions import Reading, Session, Standing
from service.sessions.session import Pending
from service.tasks.classify import LabelScore, labels_of
from service.tasks.decoding import DecodingOptions, Found, ScoredToken, search
from service.tasks.jobs import Emit, Program, run, run_streaming
from service.tasks.outputs import Hypothesis, Token, TokenWriter, hypotheses_of
from service.tasks.reader import Reader
from service.tasks.texts import cleaned_text, is_long

Input = str | Sequence[int] | None
"""Text, token ids, or nothing (where only the end of the text is told)."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a session says, with the positions that it belongs to."""

    input_position: int
    output_position: int
    labels: tuple[LabelScore, ...] = ()
    tokens: tuple[Token, ...] = ()
    hypotheses: tuple[Hypothesis, ...] | None = None
    """The whole outputs, with the last answer of a generate only."""


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

    def __init__(self, session: Session, limits: LimitSettings) -> None:
        self._session = session
        self._served = session.served
        self._reader = Reader.of(session.served.manifest)
        self._limits = limits

    async def feed(self, given: Input, *, ends: bool = False, input_position: int | None = None) -> Answer:
        """Read more input; `ends` says that the text is over. Classifiers answer with the labels so far."""
        self._check_position(input_position)
        standing = self._session.standing.for_input()
        tokens, pending = await self._taken(standing, given, ends)
        self._check_room(standing, len(tokens))
        reading = await self._read(tokens, standing.reading)
        standing = standing.read(reading, pending)
        self._session.standing = standing.ended() if ends else standing
        is_classifier = self._served.manifest.task == "classify"
        labels = labels_of(self._served, reading) if is_classifier else ()
        return Answer(standing.input_position, standing.output_position, labels)

    async def generate(self, options: DecodingOptions) -> AsyncGenerator[Answer, None]:
        """End the text and write the output; the answer that carries the hypotheses is the last."""
        standing = self._session.standing
        rest = self._feeder(standing).finish()
        self._check_can_write(standing, len(rest))
        position, writer = standing.output_position, TokenWriter(self._served.bundle.tokenizer)
        input_position = standing.input_position + len(rest)
        running = run_streaming(self._served.scheduler, partial(self._writing, standing, rest, options))
        async with aclosing(running) as all_progress:
            async for progress in all_progress:
                tokens = writer.write(progress.items)
                position += len(tokens)
                whole = self._accepted(standing, len(rest), progress.answer)
                yield Answer(input_position, position, tokens=tokens, hypotheses=whole)

    def _writing(
        self, standing: Standing, rest: Sequence[int], options: DecodingOptions, emit: Emit[ScoredToken]
    ) -> Program[list[Found]]:
        reading = yield from self._reader.read([*rest, EOS], standing.reading)
        context = reading.context(self._reader.ragged)
        return (yield from search(reading.state, context, options, emit))

    def _accepted(
        self, standing: Standing, num_read: int, found: list[Found] | None
    ) -> tuple[Hypothesis, ...] | None:
        """Move the session on once the output is whole."""
        if found is None:
            return None
        self._session.standing = standing.answered(num_read, len(found[0].tokens))
        return hypotheses_of(self._served.bundle.tokenizer, found)

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
