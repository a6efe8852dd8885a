"""BLEU as others have counted it, so that their figures can be compared with ours."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

from sacrebleu.metrics.bleu import BLEU

from benchmarks.scores.bench import Bench, as_evaluated
from benchmarks.scores.evaluation import Evaluation
from benchmarks.scores.found import Found
from service.cli.measures.simultaneous import WHOLE, measure_waits
from training.evaluate import gathered, read_test_pairs

Cut = Callable[[str], list[str]]
"""A text → its tokens."""


def every_target(bench: Bench, model: str, wanted: Evaluation) -> list[Found]:
    """All targets that the test set has for a source are its references: there are several right translations."""
    pairs = _pairs(bench, model, wanted)
    known = gathered(pairs)
    references = [known[pair.source] for pair in pairs]
    most = max(map(len, references))
    rows = [[each[at] if at < len(each) else None for each in references] for at in range(most)]
    return [_scored(bench, model, wanted, BLEU(), rows)]


def moses(bench: Bench, model: str, wanted: Evaluation) -> list[Found]:
    """Lower case, punctuation made one, cut by the Moses tokenizer, no smoothing: as `multi-bleu.perl` counts."""
    cut = _moses(bench.client.model(model).target_language)
    return [_by_tokens(bench, model, wanted, cut, f"tok:moses-{_version('sacremoses')}")]


def spacy(bench: Bench, model: str, wanted: Evaluation) -> list[Found]:
    """Lower case, cut by spaCy's rules for the language (no model of it is wanted for that), no smoothing."""
    cut = _spacy(bench.client.model(model).target_language)
    return [_by_tokens(bench, model, wanted, cut, f"tok:spacy-{_version('spacy')}")]


def waits(bench: Bench, model: str, wanted: Evaluation) -> list[Found]:
    """Written while the source comes in, word by word, for each k: BLEU, and how far it is behind."""
    reports = measure_waits(
        bench.client, bench.client.model(model), bench.asked(model, wanted), wanted.waits or (WHOLE,)
    )
    return [
        Found(
            one.metric,
            one.score,
            one.unit,
            one.num_examples,
            one.examples,
            one.signature,
            more={name: value for name, value in one.more.items() if not name.startswith("ms")},
            case="the whole source" if one.wait_k == WHOLE else f"k = {one.wait_k}",
        )
        for one in reports
    ]


def _by_tokens(bench: Bench, model: str, wanted: Evaluation, cut: Cut, told: str) -> Found:
    references = [" ".join(cut(pair.target.lower())) for pair in _pairs(bench, model, wanted)]
    metric = BLEU(tokenize="none", smooth_method="none", force=True)
    found = _scored(bench, model, wanted, metric, [references], lambda text: " ".join(cut(text.lower())))
    return replace(
        found, signature=found.signature.replace("case:mixed", "case:lower").replace("tok:none", told)
    )


def _scored(
    bench: Bench,
    model: str,
    wanted: Evaluation,
    metric: BLEU,
    references: Sequence[Sequence[str | None]],
    prepared: Callable[[str], str] = str,
) -> Found:
    """The answers that `seqserve evaluate` has, by another count."""
    plain, answers = as_evaluated(bench, model, wanted)[0], bench.measured(model, wanted).answers
    rows: Any = references
    score = metric.corpus_score([prepared(text) for text in answers], rows).score
    beam = plain.signature.partition("|beam:")[2]
    signature = f"{metric.get_signature()}|beam:{beam}"
    return replace(plain, metric="BLEU", score=score, signature=signature, more={})


def _pairs(bench: Bench, model: str, wanted: Evaluation) -> list[Any]:
    about, asked = bench.client.model(model), bench.asked(model, wanted)
    pairs = read_test_pairs(asked.file, asked.recipe or model, about.source_language, about.target_language)
    return pairs[: wanted.limit]


@cache
def _moses(language: str) -> Cut:
    from sacremoses import MosesPunctNormalizer, MosesTokenizer

    normalizer, tokenizer = MosesPunctNormalizer(language), MosesTokenizer(language)
    return lambda text: list(tokenizer.tokenize(normalizer.normalize(text), escape=False))


@cache
def _spacy(language: str) -> Cut:
    from spacy import blank

    tokenizer = blank(language).tokenizer
    return lambda text: [token.text for token in tokenizer(text)]


def _version(package: str) -> str:
    from importlib.metadata import version

    return version(package)
