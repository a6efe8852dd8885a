"""Replies: how well they are foretold, and what the model itself says in their place."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from sacrebleu.metrics.bleu import BLEU

from benchmarks.scores.bench import Bench, as_evaluated
from benchmarks.scores.evaluation import Evaluation
from benchmarks.scores.found import Found
from training.evaluate import read_test_dialogues

WRITTEN = 200
"""Dialogues whose replies are written, too: the first so many."""


def replies(bench: Bench, model: str, wanted: Evaluation) -> list[Found]:
    """Perplexity of all; of the first dialogues, BLEU of greedy replies and the share of distinct words and word pairs.

    Each reply is written after what was really said before it (Li et al. 2016 for distinct-n, section 5.2).
    """
    [found] = as_evaluated(bench, model, wanted)
    dialogues = read_test_dialogues(bench.path(wanted.file), model)[: min(wanted.limit or WRITTEN, WRITTEN)]
    pairs = _written(bench, model, dialogues)
    ours, theirs = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    metric = BLEU(lowercase=True)
    more = dict(found.more) | {
        "BLEU of greedy replies": metric.corpus_score(ours, [theirs]).score,
        "distinct-1, %": distinct(ours, 1),
        "distinct-2, %": distinct(ours, 2),
    }
    written = f"{found.signature}|written:{len(pairs)} greedy replies of {len(dialogues)} dialogues"
    beside = {"distinct-1 of the real replies, %": distinct(theirs, 1), "distinct-2, %": distinct(theirs, 2)}
    return [replace(found, more=more, beside=beside, signature=f"{written}|{metric.get_signature()}")]


def distinct(texts: Sequence[str], n: int) -> float:
    """Different n-grams in percent of all that there are."""
    counts = Counter(
        run for text in texts for run in zip(*(text.split()[at:] for at in range(n)), strict=False)
    )
    return 100 * len(counts) / max(counts.total(), 1)


def _written(bench: Bench, model: str, dialogues: Sequence[Sequence[str]]) -> list[tuple[str, str]]:
    """The model's reply and the real one, for each turn of the user."""
    asked = [
        ("\n".join(turns[: at + 1]), turns[at + 1])
        for turns in dialogues
        for at in range(0, len(turns) - 1, 2)
    ]
    found = bench.client.generate_many([prompt for prompt, _ in asked], model=model, sampling_topk=1)
    return [(ours.text, theirs) for ours, (_, theirs) in zip(found, asked, strict=True)]
