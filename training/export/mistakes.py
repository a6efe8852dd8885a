"""What a model gets wrong on dev, for its card."""

from collections import Counter
from collections.abc import Sequence
from itertools import chain
from typing import Any

from training.export.dev import Dev

MOST = 8
"""Confusions, or examples."""
FEW_LABELS = 50
"""With more different references than this, they are texts, and not labels."""
LONGEST = 160
"""Characters of a text that is shown."""


def mistakes_on(dev: Dev, answers: Sequence[Any]) -> str:
    """Markdown: which labels are taken for which, or wrong answers evenly spaced; empty where they are no texts."""
    if all(isinstance(each, list) for each in (*answers, *dev.references)):  # a label for each reading
        return _confusions(list(chain(*dev.references)), list(chain(*answers)))
    if not all(isinstance(each, str) for each in (*answers, *dev.references)):
        return ""
    if len(set(dev.references)) <= FEW_LABELS < len(dev.references):
        return _confusions(dev.references, answers)
    return _examples(dev, answers)


def _confusions(references: Sequence[str], answers: Sequence[str]) -> str:
    pairs = zip(references, answers, strict=True)
    counts = Counter((wanted, said) for wanted, said in pairs if wanted != said)
    if not counts:
        return "All labels are right."
    rows = [f"| {wanted} | {said} | {number:,} |" for (wanted, said), number in counts.most_common(MOST)]
    return "\n".join(["| wanted | said | times |", "|---|---|---|", *rows])


def _examples(dev: Dev, answers: Sequence[str]) -> str:
    """The table has the inputs, too, where they are texts."""
    rows = [row for row in zip(dev.inputs, dev.references, answers, strict=True) if row[1] != row[2]]
    chosen = rows[:: max(1, -(-len(rows) // MOST))]
    shown = [[_short(text) for text in row if isinstance(text, str)] for row in chosen]
    if not shown:
        return "All answers are right to the letter."
    head = ["given", "wanted", "said"][-len(shown[0]) :]
    lines = [head, ["---"] * len(head), *shown]
    told = f"{len(rows):,} of {len(answers):,} are not what was wanted to the letter; some of them, evenly spaced:"
    return "\n".join([told, "", *(f"| {' | '.join(line)} |" for line in lines)])


def _short(text: str) -> str:
    line = " ".join(text.split()).replace("|", "\\|")
    return line if len(line) <= LONGEST else f"{line[:LONGEST]} …"
