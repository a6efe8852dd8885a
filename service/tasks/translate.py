"""Translation: read to the end of the text, then search for the output; of whole texts, and in a session."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial

from service.bundle.tokenizer import BOS, EOS
from service.config import LimitSettings
from service.errors import NotPossible
from service.registry import Served
from service.sessions import NOTHING_READ, Reading, Standing, Unfinished
from service.sessions.session import Pending
from service.step import Arrays
from service.tasks.decoding import DecodingOptions, Found, Plan, Search, new_search
from service.tasks.intake import Taken, TextIntake
from service.tasks.jobs import Program, known, run_all, run_streaming
from service.tasks.outputs import Hypothesis, Token, TokenWriter, hypotheses_of
from service.tasks.reader import Reader
from service.tasks.said import NOTHING_SAID, Said
from service.tasks.texts import NO_SOURCE, Source
from service.tasks.writing import Writing


@dataclass(frozen=True, slots=True)
class Translation:
    """The outputs for one text, best first."""

    hypotheses: tuple[Hypothesis, ...]
    num_source_tokens: int
    source_pieces: tuple[str, ...] = ()
    """What the attention of its tokens belongs to, where it was asked for."""


@dataclass(frozen=True, slots=True)
class Written:
    """New tokens of an output; the last one comes with the whole hypotheses."""

    tokens: tuple[Token, ...]
    position: int
    """Tokens written so far, these counted in."""
    hypotheses: tuple[Hypothesis, ...] | None


class Translator:
    """Reads a text in silence, and writes its translation when that has ended."""

    def __init__(self, served: Served, limits: LimitSettings) -> None:
        self.served = served
        self.reader = _reader(served)
        self.max_inputs = served.manifest.limits.max_input_tokens
        self._limits = limits

    def intake(self, pending: Pending | None) -> TextIntake:
        return TextIntake(self.served.bundle, self._limits, pending)

    def say(
        self, taken: Taken, outputs: Sequence[Arrays], reading: Reading, pending: Pending | None
    ) -> tuple[Said, Pending | None]:
        return NOTHING_SAID, pending

    def begin(self, standing: Standing, rest: Taken, plan: Plan) -> Program[Search]:
        """The search for the translation of all that was fed."""
        return (yield from _search(self.reader, [*rest.array.tolist(), EOS], standing.reading, plan))

    def check_begun(self, standing: Standing, rest: Taken) -> None:
        """NotPossible where no text was fed."""
        if standing.reading.num_tokens + len(rest) == 0:
            raise NotPossible("nothing was fed since the last output; feed some text, then generate")

    def first(self, rest: Taken) -> int:
        """What every output begins with."""
        return BOS

    def wrote(
        self, standing: Standing, rest: Taken, search: Search, found: Sequence[Found]
    ) -> Program[Standing]:
        """At the beginning of a new text."""
        return known(standing.answered(len(rest), len(found[0].tokens)))


async def translate(
    served: Served,
    texts: Sequence[Sequence[int]],
    options: DecodingOptions,
    sources: Sequence[Source] = (),
) -> list[Translation]:
    """Translations in the order of the texts, which come as tokens; all or none.

    `sources` say where the tokens come from, where the options need that.
    """
    plans = [Plan.of(served.bundle, options) for _ in texts]
    programs = [_translation(served, text, plan) for text, plan in zip(texts, plans, strict=True)]
    found = await run_all(served.scheduler, programs)
    origins = sources or [NO_SOURCE] * len(texts)
    return [
        Translation(_hypotheses(served, each, options, source), len(text), source.pieces)
        for each, source, text in zip(found, origins, texts, strict=True)
    ]


async def stream_translate(
    served: Served, text: Sequence[int], options: DecodingOptions, source: Source = NO_SOURCE
) -> AsyncGenerator[Written, None]:
    """Tokens as soon as there are any that are certain; all that came while the reader was busy come together."""
    position, plan = 0, Plan.of(served.bundle, options)
    writing, pen = (
        Writing(plan, Unfinished("")),
        TokenWriter(served.bundle.tokenizer, source.words if options.replace_unknowns else ()),
    )
    begin = partial(_search, _reader(served), [*text, EOS], NOTHING_READ, plan)
    running = run_streaming(served.scheduler, partial(writing.program, begin))
    async with aclosing(running) as all_progress:
        async for progress in all_progress:
            found = progress.answer
            fresh = writing.follow(progress.items, found)
            tokens = pen.write(fresh, found[0].last_chars if found else None)
            position += len(tokens)
            whole = _hypotheses(served, found, options, source) if found else None
            if tokens or whole:
                yield Written(tokens, position, whole)


def _translation(served: Served, text: Sequence[int], plan: Plan) -> Program[list[Found]]:
    search = yield from _search(_reader(served), [*text, EOS], NOTHING_READ, plan)
    return (yield from search.program(None))


def _search(reader: Reader, rest: Sequence[int], reading: Reading, plan: Plan) -> Program[Search]:
    reading, _ = yield from reader.read(rest, reading)
    return new_search(reading.state, reading.context(reader.contexts), plan)


def _hypotheses(
    served: Served, found: Sequence[Found], options: DecodingOptions, source: Source
) -> tuple[Hypothesis, ...]:
    words = source.words if options.replace_unknowns else ()
    return hypotheses_of(served.bundle.tokenizer, found, words)


def _reader(served: Served) -> Reader:
    return Reader.of(served.manifest, "encode")
