"""What language models have in common in a session: the text that is read and the text that is written are one.

The last token is held back: the first step of a search takes it, and tells what comes next. So the session's state has
always read all but the last token, whether that was fed or written.

    fed  a b c      state: <s> a b       held back: c
    written  d e    state: <s> a b c d   held back: e
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from service.bundle import Bundle
from service.bundle.tokenizer import BOS, EOS
from service.config import LimitSettings
from service.registry import Served
from service.sessions import Reading, Standing
from service.sessions.session import Pending
from service.step import NOTHING, Arrays
from service.tasks.decoding import Finish, Found, Plan, Search, new_search
from service.tasks.intake import Given, Taken, TextIntake
from service.tasks.jobs import Program
from service.tasks.reader import Reader
from service.tasks.said import NOTHING_SAID, Said


class LanguageIntake:
    """Text or token ids, of which the last token is held back; in a dialogue, turns are closed by EOS."""

    def __init__(
        self, bundle: Bundle, limits: LimitSettings, pending: Pending | None, *, takes_turns: bool
    ) -> None:
        pending = pending or {}
        self._text = TextIntake(bundle, limits, pending.get("text"))
        self._takes_turns = takes_turns
        self._last = int(pending.get("last", BOS))
        self._is_cut = bool(pending.get("is_cut"))
        self._num_fed = int(pending.get("num_fed", 0))

    async def take(self, given: Given, ends: bool) -> Taken:
        return self._after((await self._text.take(given, ends)).array.tolist())

    def finish(self) -> Taken:
        """All that has to be read before something is written; `notes` is the token that comes after it."""
        rest = self._text.finish().array.tolist()
        read = self._after([*rest, EOS] if self._takes_turns else rest)
        return Taken(read.array, self._last)

    def pending(self) -> Pending:
        return held_back(self._last, self._text.pending(), is_cut=self._is_cut, num_fed=self._num_fed)

    @property
    def num_fed(self) -> int:
        """Tokens fed since the last output."""
        return self._num_fed

    def _after(self, tokens: list[int]) -> Taken:
        """What is read now that these came."""
        if tokens and self._is_cut:
            tokens, self._is_cut = [EOS, *tokens], False
        self._num_fed += len(tokens)
        read = [self._last, *tokens][:-1]
        self._last = tokens[-1] if tokens else self._last
        return Taken(np.array(read, np.int64))


def held_back(
    last: int, text: Pending | None = None, *, is_cut: bool = False, num_fed: int = 0
) -> dict[str, Any]:
    """What a session of a language model remembers beside its state."""
    pending: dict[str, Any] = {"last": last, "num_fed": num_fed}
    if text is not None:
        pending["text"] = dict(text)
    return pending | ({"is_cut": True} if is_cut else {})


class LanguageKind:
    """Reads in silence, writes what comes next, and goes on from there."""

    max_inputs = None
    takes_turns = False

    def __init__(self, served: Served, limits: LimitSettings) -> None:
        self.served = served
        self.reader = Reader.of(served.manifest, "read")
        self._limits = limits

    def intake(self, pending: Pending | None) -> LanguageIntake:
        return LanguageIntake(self.served.bundle, self._limits, pending, takes_turns=self.takes_turns)

    def say(
        self, taken: Taken, outputs: Sequence[Arrays], reading: Reading, pending: Pending | None
    ) -> tuple[Said, Pending | None]:
        return NOTHING_SAID, pending

    def begin(self, standing: Standing, rest: Taken, plan: Plan) -> Program[Search]:
        """The search for what follows all that was fed and written."""
        reading, _ = yield from self.reader.read(rest.array, standing.reading)
        return new_search(reading.state, NOTHING, plan)

    def first(self, rest: Taken) -> int:
        return int(rest.notes)

    def check_begun(self, standing: Standing, rest: Taken) -> None:
        """A text may begin with what is written."""

    def wrote(
        self, standing: Standing, rest: Taken, search: Search, found: Sequence[Found]
    ) -> Program[Standing]:
        """After the best output; where that ended the text, at the beginning of a new one."""
        if found[0].finish is Finish.END:
            yield from ()
            return standing.answered(len(rest), len(found[0].tokens))
        return (yield from self._after(standing, rest, search, found[0], ends=False))

    def _after(
        self, standing: Standing, rest: Taken, search: Search, best: Found, *, ends: bool
    ) -> Program[Standing]:
        """Behind the tokens of an output, of those that were written whole; with `ends`, behind its EOS."""
        ids = [token.id for token in best.tokens]
        if best.last_chars is not None:
            ids.pop()
        *read, last = [self.first(rest), *ids, *([EOS] if ends else [])]
        state = None if best.finish is Finish.STOP else search.ended()
        if state is None:  # what was chosen last is not what was found
            reading, _ = yield from self.reader.read([*rest.array.tolist(), *read], standing.reading)
        else:
            num_tokens = standing.reading.num_tokens + len(rest) + len(read)
            reading = Reading({**standing.reading.state, **state}, (), NOTHING, num_tokens)
        pending = held_back(last, is_cut=self.takes_turns and not ends)
        return standing.wrote_on(reading, pending, len(rest), len(best.tokens))
