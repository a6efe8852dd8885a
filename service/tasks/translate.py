"""Translation: read to the end of the text, then search for the output; of whole texts, and in a session."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import Any

from service.bundle.tokenizer import EOS
from service.config import LimitSettings
from service.errors import NotPossible
from service.registry import Served
from service.scheduler import Mailbox
from service.sessions import NOTHING_READ, Reading, Standing
from service.sessions.session import Pending
from service.step import Arrays
from service.tasks.decoding import DecodingOptions, Found, Search, new_search
from service.tasks.intake import Taken, TextIntake
from service.tasks.jobs import Program, run_all, run_streaming
from service.tasks.outputs import Hypothesis, Token, TokenWriter, hypotheses_of
from service.tasks.reader import Reader
from service.tasks.said import NOTHING_SAID, Said


@dataclass(frozen=True, slots=True)
class Translation:
    """The outputs for one text, best first."""

    hypotheses: tuple[Hypothesis, ...]
    num_source_tokens: int


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

    def begin(self, standing: Standing, rest: Taken, options: DecodingOptions) -> Program[Search]:
        """The search for the translation of all that was fed."""
        return (yield from _search(self.reader, [*rest.array.tolist(), EOS], standing.reading, options))

    def check_begun(self, standing: Standing, rest: Taken) -> None:
        """NotPossible where no text was fed."""
        if standing.reading.num_tokens + len(rest) == 0:
            raise NotPossible("nothing was fed since the last output; feed some text, then generate")

    def wrote(self, standing: Standing, rest: Taken, found: Sequence[Found]) -> Standing:
        """At the beginning of a new text."""
        return standing.answered(len(rest), len(found[0].tokens))


async def translate(
    served: Served, texts: Sequence[Sequence[int]], options: DecodingOptions
) -> list[Translation]:
    """Translations in the order of the texts, which come as tokens; all or none."""
    programs = [_translation(served, text, options, None) for text in texts]
    found = await run_all(served.scheduler, programs)
    outputs = [hypotheses_of(served.bundle.tokenizer, each) for each in found]
    return [Translation(output, len(text)) for output, text in zip(outputs, texts, strict=True)]


async def stream_translate(
    served: Served, text: Sequence[int], options: DecodingOptions
) -> AsyncGenerator[Written, None]:
    """Tokens as soon as there are any; all that came while the reader was busy come together."""
    tokenizer, position = served.bundle.tokenizer, 0
    writer = TokenWriter(tokenizer)
    running = run_streaming(served.scheduler, partial(_translation, served, text, options))
    async with aclosing(running) as all_progress:
        async for progress in all_progress:
            tokens = writer.write(progress.items)
            position += len(tokens)
            found = progress.answer
            yield Written(tokens, position, hypotheses_of(tokenizer, found) if found else None)


def _translation(
    served: Served, text: Sequence[int], options: DecodingOptions, sink: Mailbox[Any] | None
) -> Program[list[Found]]:
    search = yield from _search(_reader(served), [*text, EOS], NOTHING_READ, options)
    return (yield from search.program(sink))


def _search(
    reader: Reader, rest: Sequence[int], reading: Reading, options: DecodingOptions
) -> Program[Search]:
    reading, _ = yield from reader.read(rest, reading)
    return new_search(reading.state, reading.context(reader.contexts), options)


def _reader(served: Served) -> Reader:
    return Reader.of(served.manifest, "encode")
