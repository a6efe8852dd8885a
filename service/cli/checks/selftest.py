"""Tries a model: a first answer, the tenth, a batch; and whether a text's answer is the same alone and in the batch."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from service.bundle.tokenizer import SPECIALS, Tokenizer
from service.cli.checks.finding import Finding, problem
from service.cli.checks.signaltest import SIGNALS, in_words, num_steps, said_to, signals
from service.cli.checks.steptest import tried_steps
from service.cli.checks.wordtest import word_labels
from service.registry import Served
from service.tasks.classify import Classification, classify
from service.tasks.decoding import DecodingOptions
from service.tasks.generate import Generation, generate
from service.tasks.translate import Translation, translate

BATCH = 64
ALONE = (0, 21, 63)
"""Which texts of the batch are tried alone, too."""
LONGEST = 32
"""Tokens that a text may bring, and an answer have."""
PATIENCE_S = 30.0
TEXTS = {"es": "¿Dónde está la biblioteca de la ciudad?", "en": "Where is the library of the town?"}

Answers = Callable[[Sequence[Any]], Awaitable[Sequence[Any]]]


@dataclass(frozen=True)
class Tried:
    """What a model did."""

    answer: str
    first_s: float
    tenth_s: float
    tokens_per_s: float
    """Of the batch: written by a translator, read by a classifier."""
    equal: bool
    """Whether answers alone and in the batch are the same, down to the last bit of each probability."""


def tried(about: str, served: Served) -> Finding:
    """Never raises: what goes wrong is the finding."""
    about = f"{about} tried"
    if served.manifest.task == "tensors":
        return tried_steps(about, served)
    try:
        found = asyncio.run(asyncio.wait_for(measure(served), PATIENCE_S))
    except Exception as error:
        return problem(about, f"does not answer: {error!r}", "export it again, with this version of seqserve")
    facts = {
        "first_ms": round(found.first_s * 1000, 2),
        "tenth_ms": round(found.tenth_s * 1000, 2),
        "batch_tokens_per_s": round(found.tokens_per_s),
        "bit_equal": found.equal,
    }
    text = (
        f"{found.answer!r}: first {facts['first_ms']} ms, tenth {facts['tenth_ms']} ms; {BATCH} at once "
        f"{found.tokens_per_s:,.0f} tokens/s; bit-equal alone and in the batch"
    )
    if not found.equal:
        advice = "export it again, which proves it; if it stays so, report this with the processor's name"
        return problem(about, "another answer in a batch than alone", advice, **facts)
    return Finding(about, text, facts=facts)


async def measure(served: Served) -> Tried:
    answers: Answers = partial(_answers, served)
    texts, times = _inputs(served), []
    for _ in range(10):
        seconds, first = await _timed(answers, texts[:1])
        times.append(seconds)
    seconds, batch = await _timed(answers, texts)
    alone = [(await answers([texts[index]]))[0] for index in ALONE]
    return Tried(
        answer=_words(first[0]),
        first_s=times[0],
        tenth_s=times[-1],
        tokens_per_s=sum(map(_num_tokens, batch)) / seconds,
        equal=alone == [batch[index] for index in ALONE],
    )


def _inputs(served: Served) -> Sequence[Any]:
    """As many as a batch has."""
    if served.manifest.task in SIGNALS:
        return signals(served, BATCH)
    tokens = _sample(served)
    return [_varied(tokens, index) for index in range(BATCH)]


async def _answers(served: Served, texts: Sequence[Any]) -> Sequence[Any]:
    manifest = served.manifest
    if manifest.task in SIGNALS:
        return await said_to(served, texts)
    if "tag" in manifest.graphs:
        return await word_labels(served, texts)
    if manifest.task == "classify":
        return await classify(served, texts)
    longest = min(LONGEST, manifest.limits.max_output_tokens)
    options = DecodingOptions.of(manifest, beam_size=1, sampling_topk=1, max_length=longest)
    if manifest.task in ("generate", "chat"):
        return await generate(served, texts, options)
    return await translate(served, texts, options)


async def _timed(answers: Answers, texts: Sequence[Any]) -> tuple[float, Sequence[Any]]:
    started = time.perf_counter()
    found = await answers(texts)
    return time.perf_counter() - started, found


def _sample(served: Served) -> list[int]:
    """Tokens of a text in the model's language; of its own subwords where there is none."""
    manifest, tokenizer = served.manifest, served.bundle.tokenizer
    language = manifest.source_language.partition("-")[0].lower()
    tokens = tokenizer.encode(TEXTS[language]) if language in TEXTS else _subwords(tokenizer)
    return tokens[: min(LONGEST, manifest.limits.max_input_tokens - 1)]


def _subwords(tokenizer: Tokenizer) -> list[int]:
    return list(range(len(SPECIALS), tokenizer.size))[:8]


def _varied(tokens: list[int], index: int) -> list[int]:
    """The tokens from another one on, and of another length; the first are the tokens themselves."""
    start = index % len(tokens)
    turned = tokens[start:] + tokens[:start]
    return turned[: len(tokens) - (index // 2) % len(tokens)]


def _words(answer: Any) -> str:
    if isinstance(answer, Classification):
        return answer.labels[0].label
    return answer.hypotheses[0].text if isinstance(answer, Translation | Generation) else in_words(answer)


def _num_tokens(answer: Any) -> int:
    if isinstance(answer, Classification):
        return answer.num_tokens
    return (
        len(answer.hypotheses[0].tokens)
        if isinstance(answer, Translation | Generation)
        else num_steps(answer)
    )
