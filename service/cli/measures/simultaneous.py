"""Translations that are written while their sources come in: BLEU and how far they are behind, for each wait-k."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean, median
from typing import TYPE_CHECKING

from service.cli.measures.lag import lag_of
from service.cli.measures.report import Asked, Report, Watch
from service.cli.stop import Stop

if TYPE_CHECKING:
    from service.client import Client, Model, Session

WHOLE = 100
"""The k that stands for the whole source: no policy waits longer."""


@dataclass(frozen=True)
class Interpreted:
    """One text, written while it came in."""

    text: str
    delays: tuple[int, ...]
    """Of each target word, in source words."""
    seconds: tuple[float, ...]
    """Of each feed."""


def measure_waits(client: "Client", model: "Model", asked: Asked, waits: Sequence[int]) -> list[Report]:
    """Of the test set's pairs, one after the other, fed word by word to a session for each k."""
    from training.evaluate import read_test_pairs

    if not model.simultaneous:
        raise Stop(f"{model.name} was not trained to write while its source comes in; see: seqserve models")
    languages = (model.source_language, model.target_language)
    pairs = read_test_pairs(asked.file, asked.recipe_of(model.name), *languages, asked.columns)[: asked.limit]
    return [_measured(client, Watch(model, asked), pairs, wait) for wait in waits]


def interpret(session: "Session", source: str) -> Interpreted:
    """Feed a text word by word, and then its end."""
    text, seconds, delays, words = "", [], list[int](), source.split()
    for num_read, word in enumerate([*words, ""], 1):
        is_end = not word
        began = time.perf_counter()
        answer = session.feed("" if is_end else f"{word} ", end_of_input=is_end)
        seconds.append(time.perf_counter() - began)
        text += answer.written
        num_new = len(text.split()) - len(delays)
        delays += [min(num_read, len(words))] * num_new
    return Interpreted(text, tuple(delays), tuple(seconds[:-1]))


def _measured(client: "Client", watch: Watch, pairs: Sequence[tuple[str, str]], wait: int) -> Report:
    """BLEU; beside it the lags in source words, means over the texts, and the median time from a word to its answer."""
    from training.evaluate import score_translations

    with client.session(model=watch.model.name, wait_k=wait) as session:
        found = watch.all((interpret(session, source) for source, _ in pairs), len(pairs))
    bleu = score_translations([one.text for one in found], [target for _, target in pairs])
    lags = [
        lag_of(one.delays, len(source.split()), len(target.split()))
        for one, (source, target) in zip(found, pairs, strict=True)
    ]
    more = {
        "LAAL": mean(lag.laal for lag in lags),
        "DAL": mean(lag.dal for lag in lags),
        "ms per word": 1000 * median(second for one in found for second in one.seconds),
    }
    num_words = sum(len(one.delays) for one in found)
    signature = f"{bleu.signature}|lag:source words"
    return watch.report("BLEU", bleu.score, len(pairs), num_words, signature, unit="", more=more, wait_k=wait)
