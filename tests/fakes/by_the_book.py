"""Searches as one would write them down: every output that the options allow, with what it is worth. Slow and plain."""

import math
from collections.abc import Iterator
from typing import NamedTuple

from service.bundle.tokenizer import EOS
from service.tasks.decoding import DecodingOptions, Finish
from tests.fakes.toy_bundles import SPANISH
from tests.fakes.toy_table import FIRST_WORD, TableModel

Ids = tuple[int, ...]


class Output(NamedTuple):
    """What was chosen, the end counted in, and what comes of it."""

    chosen: Ids
    text: str
    score: float
    finish: Finish


def text_of(ids: Ids) -> str:
    return " ".join(SPANISH[token - FIRST_WORD] for token in ids)


def worths(model: TableModel, options: DecodingOptions, written: Ids) -> dict[int, float]:
    """What may come next, and what it adds."""
    forced = [FIRST_WORD + SPANISH.index(word) for word in options.target_prefix.split()]
    found = {
        token: log_prob * (options.repetition_penalty if token in written else 1.0)
        for token, log_prob in model.follow(written).items()
    }
    if len(written) < len(forced):
        return {forced[len(written)]: found[forced[len(written)]]}
    size = options.no_repeat_ngram_size
    grams = {written[at : at + size] for at in range(len(written) - size + 1)} if size else set()
    free = {t: worth for t, worth in found.items() if (*written, t)[-size:] not in grams or not size}
    if len(written) < options.min_length:
        free.pop(EOS)
    return free or {EOS: found[EOS]}


def stopped(options: DecodingOptions, written: Ids) -> str | None:
    """The text before the first stop text, if there is one behind the forced beginning."""
    text, begins = text_of(written), len(options.target_prefix)
    starts = [at for stop in options.stop if (at := text.find(stop, begins)) >= 0]
    return text[: min(starts)] if starts else None


def score(model: TableModel, options: DecodingOptions, chosen: Ids) -> float:
    total = 0.0
    for at, token in enumerate(chosen):
        repeated = token in chosen[:at]
        total += model.follow(chosen[:at])[token] * (options.repetition_penalty if repeated else 1.0)
    return float(total / ((5 + len(chosen)) / 6) ** options.length_penalty)


def all_outputs(model: TableModel, options: DecodingOptions, written: Ids = ()) -> Iterator[Output]:
    if (text := stopped(options, written)) is not None:
        yield Output(written, text, score(model, options, written), Finish.STOP)
    elif len(written) == options.max_length:
        yield Output(written, text_of(written), score(model, options, written), Finish.LENGTH)
    else:
        for token in worths(model, options, written):
            if token == EOS:
                chosen = (*written, EOS)
                yield Output(chosen, text_of(written), score(model, options, chosen), Finish.END)
            else:
                yield from all_outputs(model, options, (*written, token))


def likeliest(model: TableModel, options: DecodingOptions) -> Output:
    """The best token at each step."""
    written: Ids = ()
    while True:
        if (text := stopped(options, written)) is not None:
            return Output(written, text, score(model, options, written), Finish.STOP)
        if len(written) == options.max_length:
            return Output(written, text_of(written), score(model, options, written), Finish.LENGTH)
        free = worths(model, options, written)
        token = min(free, key=lambda token: (-free[token], token))
        if token == EOS:
            chosen = (*written, EOS)
            return Output(chosen, text_of(written), score(model, options, chosen), Finish.END)
        written = (*written, token)


def coverage(looked: list[list[float]], penalty: float) -> float:
    """The penalty for what was looked at too little, by its formula."""
    return penalty * sum(math.log(max(1e-9, min(1.0, sum(column)))) for column in zip(*looked, strict=True))
