"""Translation while the source still comes in: wait-k (Ma et al. 2019 §3), one model for every k (Elbayad et al. 2020).

After each source word, all is written that may be written by then. So what is written, and from how much of the source,
depends on the words alone and not on how they were cut into feeds; and it is the part of the source that the model saw
when it was trained. With k = 2:

    read      das      alte        Haus         </s>
    written            the         old          house </s>

A word is over where its model would begin another one or end: that choice is thrown away, and made again as soon as
enough of the source is there. Nothing ends before the source has ended: where the model would, it waits for a word.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np

from service.bundle.manifest import Manifest
from service.bundle.tokenizer import BOS, EOS, UNK
from service.bundle.waiting import Flags, num_visible, word_starts
from service.config import LimitSettings
from service.errors import InvalidInput, NotPossible
from service.registry import Served
from service.sessions import Reading, Standing
from service.sessions.session import Pending
from service.step import Array, Arrays, Result, Step
from service.tasks.decoding import DecodingOptions, Finish, Found, ScoredToken
from service.tasks.decoding.hypothesis import normalized, total
from service.tasks.intake import Taken
from service.tasks.jobs import Program
from service.tasks.kind import Followed
from service.tasks.reader import Reader
from service.tasks.said import NOTHING_SAID, Said
from service.tasks.whole_words import WholeWordIntake

MAX_WAIT = 100
FIRST_CHOICES = 16
"""How many of the likeliest tokens are looked at first; all are, where none of these may be written."""
DRAFT = "draft"


@dataclass(frozen=True, slots=True)
class Policy:
    """How a session writes."""

    wait: int
    """k: target word j is written when k + j - 1 source words have come."""
    max_length: int
    length_penalty: float

    @classmethod
    def of(cls, manifest: Manifest, wait: int, options: DecodingOptions) -> Self:
        """NotPossible where a model was not trained for it, InvalidInput for options that are not for it."""
        if not manifest.simultaneous:
            raise NotPossible(
                f"{manifest.name} was not trained to write while the source comes in; open without "
                "simultaneous and generate when the text has ended"
            )
        if not 1 <= wait <= MAX_WAIT:
            raise InvalidInput(
                f"wait_k must be 1 to {MAX_WAIT} words, not {wait}", field="open.simultaneous.wait_k"
            )
        plain = DecodingOptions(max_length=options.max_length, length_penalty=options.length_penalty)
        if options != plain:
            raise InvalidInput(
                "a session that writes while it reads takes the likeliest token each time: of the options, "
                "max_length and length_penalty are for it",
                field="open.simultaneous.options",
            )
        return cls(wait, options.max_length, options.length_penalty)

    def to_json(self) -> list[Any]:
        """JSON values, for the session to keep."""
        return [self.wait, self.max_length, self.length_penalty]

    @classmethod
    def from_json(cls, kept: Sequence[Any]) -> Self:
        """What `to_json` wrote down."""
        return cls(*kept)


@dataclass(slots=True)
class Draft:
    """How far an output is, beside the decoder's state."""

    num_read: int = 0
    """Source words."""
    num_words: int = 0
    """Target words that were begun."""
    is_between: bool = True
    """What comes next begins a word, or ends."""
    tokens: list[ScoredToken] = field(default_factory=list)

    @classmethod
    def of(cls, pending: Pending | None) -> Self:
        """As a session keeps it."""
        kept = (pending or {}).get(DRAFT)
        if not kept:
            return cls()
        num_read, num_words, is_between, ids, log_probs = kept
        return cls(num_read, num_words, is_between, list(map(ScoredToken, ids, log_probs)))

    def to_json(self) -> list[Any]:
        """JSON values; floats come back bit for bit."""
        ids, log_probs = [token.id for token in self.tokens], [token.log_prob for token in self.tokens]
        return [self.num_read, self.num_words, self.is_between, ids, log_probs]


class Interpreter:
    """Writes while it reads; one policy for all texts of a session."""

    def __init__(self, served: Served, limits: LimitSettings, policy: Policy) -> None:
        self.served = served
        self.reader = Reader.of(served.manifest, "encode")
        self.max_inputs = served.manifest.limits.max_input_tokens
        self._limits, self._policy = limits, policy
        self._pen = Pen(served, policy)

    def intake(self, pending: Pending | None) -> WholeWordIntake:
        return WholeWordIntake(self.served.bundle, self._limits, pending)

    def say(
        self, taken: Taken, outputs: Sequence[Arrays], reading: Reading, pending: Pending | None
    ) -> tuple[Said, Pending | None]:
        return NOTHING_SAID, pending

    def follow(self, standing: Standing, taken: Taken, ends: bool) -> Program[Followed]:
        """All that may be written after each of the words that were taken."""
        reading, draft = standing.reading, Draft.of(standing.pending)
        before, state = tuple(draft.tokens), reading.state
        context, start = reading.context(self.reader.contexts), reading.num_tokens - len(taken)
        for end in taken.notes:
            draft.num_read += 1
            seen = self._beginning(context, start + end)
            state = yield from self._pen.write(draft, state, seen, is_all=False)
        found = None
        if ends and draft.num_read:
            whole, _ = yield from self.reader.read([EOS], reading)
            seen = whole.context(self.reader.contexts)
            state = yield from self._pen.write(draft, state, seen, is_all=True)
            found = self._pen.found(draft)
        tokens = found.tokens if found else tuple(draft.tokens)
        standing = replace(
            standing,
            reading=replace(reading, state=state),
            pending={**(standing.pending or {}), DRAFT: draft.to_json()},
            output_position=standing.output_position + len(tokens) - len(before),
        )
        return Followed(standing, before, tokens[len(before) :], found)

    def _beginning(self, context: Arrays, end: int) -> Arrays:
        """The contexts of the first `end` tokens."""
        axes = self.reader.contexts
        return {
            name: array[(slice(None),) * axes[name] + (slice(end),)] if name in axes else array
            for name, array in context.items()
        }


class Pen:
    """Writes what may be written by now."""

    def __init__(self, served: Served, policy: Policy) -> None:
        self._policy = policy
        self._starts: Flags = word_starts(served.bundle.tokenizer)
        self._never = {UNK} if served.manifest.writes_unknowns else set()

    def write(self, draft: Draft, state: Arrays, seen: Arrays, is_all: bool) -> Program[Arrays]:
        """The decoder's state after it; `seen` are the contexts of what was read, `is_all` says that it has ended."""
        while not self._waits(draft, is_all):
            result = yield from self._asked(draft, state, seen, FIRST_CHOICES)
            chosen = self._chosen(draft, result, is_all)
            if chosen is None and len(result.outputs["top_tokens"]) < len(self._starts):
                result = yield from self._asked(draft, state, seen, len(self._starts))
                chosen = self._chosen(draft, result, is_all)
            if chosen is None:
                return state
            if not draft.is_between and self._starts[chosen.id]:
                draft.is_between = True  # the word is over
                if self._waits(draft, is_all) or (chosen.id == EOS and not is_all):
                    continue
            state = {**state, **result.state}
            self._take(draft, chosen)
        return state

    def found(self, draft: Draft) -> Found:
        """The whole output."""
        log_prob, num = total(draft.tokens, 1.0), len(draft.tokens)
        score = normalized(log_prob, num, self._policy.length_penalty)
        if draft.tokens[-1:] and draft.tokens[-1].id == EOS:
            return Found(tuple(draft.tokens[:-1]), score, Finish.END)
        return Found(tuple(draft.tokens), score, Finish.LENGTH)

    def _waits(self, draft: Draft, is_all: bool) -> bool:
        """Whether nothing may be written before more has come, or at all."""
        ended = bool(draft.tokens) and draft.tokens[-1].id == EOS
        if ended or len(draft.tokens) >= self._policy.max_length:
            return True
        is_early = num_visible(draft.num_words + 1, self._policy.wait) > draft.num_read
        return draft.is_between and is_early and not is_all

    def _asked(self, draft: Draft, state: Arrays, seen: Arrays, num: int) -> Program[Result]:
        last = draft.tokens[-1].id if draft.tokens else BOS
        inputs = {"token": np.array(last), "k": np.array(min(num, len(self._starts)))}
        step = Step("step", inputs, state, seen, wanted=("top_tokens", "top_log_probs"))
        results: Sequence[Result] = yield (step,)
        return results[0]

    def _chosen(self, draft: Draft, result: Result, is_all: bool) -> ScoredToken | None:
        """The likeliest token that may come next; None where none of these may."""
        tokens: Array = result.outputs["top_tokens"]
        for token, log_prob in zip(tokens.tolist(), result.outputs["top_log_probs"].tolist(), strict=True):
            if token in self._never or (draft.is_between and draft.tokens and not self._starts[token]):
                continue
            if draft.is_between and token == EOS and not is_all:
                return None
            return ScoredToken(token, log_prob)
        return None

    def _take(self, draft: Draft, chosen: ScoredToken) -> None:
        draft.num_words += draft.is_between or bool(self._starts[chosen.id])
        draft.is_between = False
        draft.tokens.append(chosen)
