"""Going on with texts: of whole prompts, and in a session, whose state is what was read and written so far."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import partial

from service.bundle.tokenizer import BOS, EOS
from service.registry import Served
from service.sessions import NOTHING_READ, Unfinished
from service.step import NOTHING
from service.tasks.decoding import DecodingOptions, Found, Plan, Search, new_search
from service.tasks.jobs import Program, run_all, run_streaming
from service.tasks.language import LanguageKind
from service.tasks.outputs import Hypothesis, TokenWriter, hypotheses_of
from service.tasks.reader import Reader
from service.tasks.translate import Written
from service.tasks.writing import Writing


class Generator(LanguageKind):
    """Goes on with all that was fed and written, as one text."""


@dataclass(frozen=True, slots=True)
class Generation:
    """How one prompt goes on, best first, without the prompt."""

    hypotheses: tuple[Hypothesis, ...]
    num_prompt_tokens: int


async def generate(
    served: Served, prompts: Sequence[Sequence[int]], options: DecodingOptions
) -> list[Generation]:
    """Outputs in the order of the prompts, which come as tokens; all or none."""
    found = await run_all(served.scheduler, [_generation(served, prompt, options) for prompt in prompts])
    outputs = [hypotheses_of(served.bundle.tokenizer, each) for each in found]
    return [Generation(output, len(prompt)) for output, prompt in zip(outputs, prompts, strict=True)]


async def stream_generate(
    served: Served, prompt: Sequence[int], options: DecodingOptions
) -> AsyncGenerator[Written, None]:
    """Tokens as soon as there are any that are certain; all that came while the reader was busy come together."""
    plan, position = _plan(served, prompt, options), 0
    writing, pen = Writing(plan, Unfinished("")), TokenWriter(served.bundle.tokenizer)
    begin = partial(_search, served, prompt, plan)
    running = run_streaming(served.scheduler, partial(writing.program, begin))
    async with aclosing(running) as all_progress:
        async for progress in all_progress:
            found = progress.answer
            tokens = pen.write(writing.follow(progress.items, found), found[0].last_chars if found else None)
            position += len(tokens)
            whole = hypotheses_of(served.bundle.tokenizer, found) if found else None
            if tokens or whole:
                yield Written(tokens, position, whole)


def read_before(served: Served, prompt: Sequence[int]) -> list[int]:
    """All that is read before an output, the last of it by the first step of the search."""
    return [BOS, *prompt, *([EOS] if served.manifest.task == "chat" else [])]


def _generation(served: Served, prompt: Sequence[int], options: DecodingOptions) -> Program[list[Found]]:
    search = yield from _search(served, prompt, _plan(served, prompt, options))
    return (yield from search.program(None))


def _plan(served: Served, prompt: Sequence[int], options: DecodingOptions) -> Plan:
    return replace(Plan.of(served.bundle, options), first=read_before(served, prompt)[-1])


def _search(served: Served, prompt: Sequence[int], plan: Plan) -> Program[Search]:
    reader = Reader.of(served.manifest, "read")
    reading, _ = yield from reader.read(read_before(served, prompt)[:-1], NOTHING_READ)
    return new_search(reading.state, NOTHING, plan)
