"""Translations of the same texts by several models, which read each text once where their encoders are one graph."""

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

from service.bundle.tokenizer import EOS
from service.registry import Served
from service.sessions import NOTHING_READ, Reading
from service.tasks.decoding import DecodingOptions, Found, Plan, new_search
from service.tasks.jobs import Program, run_all
from service.tasks.outputs import hypotheses_of
from service.tasks.reader import Reader
from service.tasks.texts import Source
from service.tasks.translate import Translation

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What one model is to make of the texts."""

    served: Served
    texts: Sequence[Sequence[int]]
    """As its tokens."""
    options: DecodingOptions
    sources: Sequence[Source] = ()
    """Where the tokens come from, where the options need that."""


class Text(NamedTuple):
    """A text as one encoder reads it: those that are equal are read once."""

    encoder: str
    """The hash of its graph."""
    number: int
    tokens: tuple[int, ...]


class Severally(NamedTuple):
    """By model, in the order of the texts; and how many texts were read."""

    translations: list[list[Translation]]
    num_readings: int


async def translate_severally(wanted: Sequence[Wanted]) -> Severally:
    """All or none."""
    readers: dict[Text, Served] = {}
    for one in wanted:
        for text in _texts(one):
            readers.setdefault(text, one.served)
    readings = await _readings(readers)
    written = await _together([_written(one, readings) for one in wanted])
    return Severally(written, len(readers))


async def _readings(readers: dict[Text, Served]) -> dict[Text, Reading]:
    """Each text read by the first model that wants it."""
    by_model: dict[int, tuple[Served, list[Text]]] = {}
    for text, served in readers.items():
        by_model.setdefault(id(served), (served, []))[1].append(text)
    groups = list(by_model.values())
    found = await _together([_read_by(served, texts) for served, texts in groups])
    return {
        text: reading
        for (_, texts), readings in zip(groups, found, strict=True)
        for text, reading in zip(texts, readings, strict=True)
    }


async def _read_by(served: Served, texts: Sequence[Text]) -> list[Reading]:
    return await run_all(served.scheduler, [_reading(served, text) for text in texts])


def _reading(served: Served, text: Text) -> Program[Reading]:
    read = yield from Reader.of(served.manifest, "encode").read([*text.tokens, EOS], NOTHING_READ)
    return read.reading


async def _written(one: Wanted, readings: dict[Text, Reading]) -> list[Translation]:
    programs = [_search(one, readings[text]) for text in _texts(one)]
    found = await run_all(one.served.scheduler, programs)
    return [_translation(one, index, each) for index, each in enumerate(found)]


def _search(one: Wanted, reading: Reading) -> Program[list[Found]]:
    context = reading.context(Reader.of(one.served.manifest, "encode").contexts)
    search = new_search(reading.state, context, Plan.of(one.served.bundle, one.options))
    return (yield from search.program(None))


def _translation(one: Wanted, index: int, found: Sequence[Found]) -> Translation:
    source = one.sources[index] if one.sources else None
    words = source.words if source and one.options.replace_unknowns else ()
    hypotheses = hypotheses_of(one.served.bundle.tokenizer, found, words)
    return Translation(hypotheses, len(one.texts[index]), source.pieces if source else ())


def _texts(one: Wanted) -> list[Text]:
    encoder = one.served.bundle.graph_hash("encode")
    return [Text(encoder, index, tuple(tokens)) for index, tokens in enumerate(one.texts)]


async def _together(parts: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """The results of all, side by side; where one fails, the others are ended."""
    tasks = [asyncio.create_task(part) for part in parts]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
