"""How good finished outputs are, measured against the references that the data give."""

from collections.abc import Sequence
from typing import NamedTuple

from sacrebleu.metrics.bleu import BLEU


class BleuScore(NamedTuple):
    """A BLEU score and the signature that says how it was computed."""

    score: float
    signature: str


def score_translations(hypotheses: Sequence[str], references: Sequence[str]) -> BleuScore:
    """Corpus BLEU against one reference each (Papineni et al. 2002; Post 2018 for the signature)."""
    metric = BLEU()
    score = metric.corpus_score(list(hypotheses), [list(references)]).score
    return BleuScore(score, str(metric.get_signature()))


def score_labels(labels: Sequence[str], references: Sequence[str]) -> float:
    """Accuracy in percent."""
    right = sum(label == reference for label, reference in zip(labels, references, strict=True))
    return 100 * right / len(references)
