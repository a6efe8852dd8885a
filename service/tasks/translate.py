"""Translation of whole texts: read to the end of the text, then search for the output."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import Any

from service.bundle.tokenizer import EOS
from service.registry import Served
from service.scheduler import Mailbox
from service.sessions import NOTHING_READ
from service.tasks.decoding import DecodingOptions, Found, new_search
from service.tasks.jobs import Program, run_all, run_streaming
from service.tasks.outputs import Hypothesis, Token, TokenWriter, hypotheses_of
from service.tasks.reader import Reader


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
    reader = Reader.of(served.manifest)
    reading = yield from reader.read([*text, EOS], NOTHING_READ)
    search = new_search(reading.state, reading.context(reader.ragged), options)
    return (yield from search.program(sink))
