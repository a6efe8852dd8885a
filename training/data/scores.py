"""How good finished outputs are, measured against the references that the data give."""

from collections import Counter
from collections.abc import Sequence
from statistics import fmean
from typing import NamedTuple

from sacrebleu.metrics.bleu import BLEU

from service.bundle.spans import spans_of
from service.bundle.words import words_of


class BleuScore(NamedTuple):
    """A BLEU score and the signature that says how it was computed."""

    score: float
    signature: str


def score_translations(hypotheses: Sequence[str], references: Sequence[str]) -> BleuScore:
    """Corpus BLEU against one reference each (Papineni et al. 2002; Post 2018 for the signature)."""
    metric = BLEU()
    score = metric.corpus_score(list(hypotheses), [list(references)]).score
    return BleuScore(score, str(metric.get_signature()))


def score_sentence(hypothesis: str, reference: str) -> float:
    """BLEU of one sentence, over the n-grams that it is long enough for (Chen & Cherry 2014)."""
    return float(BLEU(effective_order=True).sentence_score(hypothesis, [reference]).score)


def word_error_rate(hypotheses: Sequence[str], references: Sequence[str]) -> float:
    """Words that were put in, left out or replaced, in percent of the references' words (Levenshtein distance)."""
    pairs = [(one.split(), other.split()) for one, other in zip(hypotheses, references, strict=True)]
    num_words = sum(len(reference) for _, reference in pairs)
    return 100 * sum(word_distance(*pair) for pair in pairs) / num_words


class WholeScore(NamedTuple):
    """Errors in percent: of outputs, and of their tokens."""

    whole: float
    tokens: float


def score_whole(outputs: Sequence[str], references: Sequence[Sequence[str]]) -> WholeScore:
    """Outputs that equal none of their references; the distance in tokens to the nearest, to its length.

    How grapheme to phoneme is measured where dictionaries know several pronunciations (Yao and Zweig 2015, section 4).
    """
    wrong = distance = length = 0
    for output, known in zip(outputs, references, strict=True):
        ours, theirs = output.split(), [one.split() for one in known]
        nearest, size = min((word_distance(ours, one), len(one)) for one in theirs)
        wrong, distance, length = wrong + (ours not in theirs), distance + nearest, length + size
    return WholeScore(100 * wrong / len(outputs), 100 * distance / max(length, 1))


def score_labels(labels: Sequence[str], references: Sequence[str]) -> float:
    """Accuracy in percent."""
    right = sum(label == reference for label, reference in zip(labels, references, strict=True))
    return 100 * right / len(references)


class SpanScore(NamedTuple):
    """In percent: of all spans together (micro average), and of whole texts whose labels are all right."""

    precision: float
    recall: float
    f1: float
    exact: float


def score_spans(labels: Sequence[Sequence[str]], references: Sequence[Sequence[str]]) -> SpanScore:
    """Spans with the right beginning, end and label (Tjong Kim Sang and De Meulder 2003; `conlleval`)."""
    right = found = wanted = 0
    for ours, theirs in zip(labels, references, strict=True):
        spans, gold = set(spans_of(ours)), set(spans_of(theirs))
        right, found, wanted = right + len(spans & gold), found + len(spans), wanted + len(gold)
    exact = sum(list(ours) == list(theirs) for ours, theirs in zip(labels, references, strict=True))
    precision, recall = right / max(found, 1), right / max(wanted, 1)
    f1 = 2 * right / max(found + wanted, 1)
    return SpanScore(100 * precision, 100 * recall, 100 * f1, 100 * exact / len(references))


class DeletionScore(NamedTuple):
    """In percent, but for the ratio: characters left of the text's."""

    f1: float
    exact: float
    ratio: float


def score_deletions(outputs: Sequence[str], references: Sequence[str], texts: Sequence[str]) -> DeletionScore:
    """F1 of the words, averaged over the sentences (Filippova et al. 2015, section 4.2).

    A word counts as often as it stands in both (clipped), marks are left out, case counts not.
    """
    pairs = [(_words(ours), _words(theirs)) for ours, theirs in zip(outputs, references, strict=True)]
    f1 = fmean(_overlap(*pair) for pair in pairs)
    exact = fmean(ours == theirs for ours, theirs in pairs)
    ratio = fmean(len(ours) / len(text) for ours, text in zip(outputs, texts, strict=True))
    return DeletionScore(100 * f1, 100 * exact, ratio)


def _words(text: str) -> list[str]:
    return [word.text.lower() for word in words_of(text, "edges") if any(map(str.isalnum, word.text))]


def _overlap(ours: Sequence[str], theirs: Sequence[str]) -> float:
    """F1 of two bags of words."""
    common = (Counter(ours) & Counter(theirs)).total()
    return 2 * common / max(len(ours) + len(theirs), 1)


def word_distance(hypothesis: Sequence[str], reference: Sequence[str]) -> int:
    """Fewest insertions, deletions and substitutions that make one the other."""
    row = list(range(len(reference) + 1))
    for at, word in enumerate(hypothesis, 1):
        corner, row[0] = row[0], at
        for number, wanted in enumerate(reference, 1):
            corner, row[number] = (
                row[number],
                min(corner + (word != wanted), row[number] + 1, row[number - 1] + 1),
            )
    return row[-1]
