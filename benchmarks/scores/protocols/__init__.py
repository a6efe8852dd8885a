"""How test sets are scored, beyond what `seqserve evaluate` says: a file for each kind of output, and the table."""

from collections.abc import Callable

from benchmarks.scores.bench import Bench, as_evaluated
from benchmarks.scores.evaluation import Evaluation
from benchmarks.scores.found import Found
from benchmarks.scores.protocols import dialogues, readings, summaries, translations

Protocol = Callable[[Bench, str, Evaluation], list[Found]]

PROTOCOLS: dict[str, Protocol] = {
    "evaluate": as_evaluated,
    "every target": translations.every_target,
    "moses": translations.moses,
    "spacy": translations.spacy,
    "waits": translations.waits,
    "compressions": summaries.compressions,
    "headlines": summaries.headlines,
    "replies": dialogues.replies,
    "labels of readings": readings.labels,
    "nab": readings.anomalies,
}
"""What an evaluation's `protocol` may name."""
