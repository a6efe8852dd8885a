"""What is translated and fed: texts with the lengths that they really have."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path

from benchmarks.sentences import REQUESTS, SENTENCES
from service.bundle import Bundle
from service.bundle.tokenizer import EOS
from service.client import AsyncClient

NUM_TEXTS = 256
"""Of a file, the first so many; a file with fewer is gone through again."""


@dataclass(frozen=True, slots=True)
class Text:
    """A text to translate."""

    text: str
    source: tuple[int, ...]
    """Its subwords, the end counted in."""
    num_tokens: int
    """How many tokens its translation has."""


async def texts_of(address: str, bundle: Bundle, sentences: Sequence[str]) -> list[Text]:
    """Texts with what the model makes of them, greedily."""
    async with AsyncClient(address) as client:
        found = await client.translate(list(sentences), model=bundle.manifest.name, beam_size=1)
    return [
        Text(sentence, (*bundle.tokenizer.encode(sentence), EOS), len(translation.tokens))
        for sentence, translation in zip(sentences, found, strict=True)
    ]


def sentences_of(file: Path | None, number: int = NUM_TEXTS) -> list[str]:
    """Lines of a file, or the sentences that are here."""
    lines = file.read_text("utf-8").splitlines() if file else SENTENCES
    return list(islice(cycle([line for line in lines if line.strip()]), number))


def num_texts(quick: bool) -> int:
    """How many to take."""
    return 16 if quick else NUM_TEXTS


def requests_of(bundle: Bundle, number: int = NUM_TEXTS) -> list[list[int]]:
    """Subwords of spoken requests, to be fed one by one."""
    return [bundle.tokenizer.encode(text) for text in islice(cycle(REQUESTS), number)]


def newest(models: Path, model: str) -> Path:
    """The folder of the newest version of a model."""
    found = sorted((models / model).glob("*/manifest.json"))
    if not found:
        raise SystemExit(f"there is no {model} in {models.absolute()}; choose the folder with --models")
    return found[-1].parent
