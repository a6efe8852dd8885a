"""Shows more than the text of an output: several hypotheses, what each token looked at, and what might have come."""

import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table

    from service.client.results import Hypothesis, Token, Translation

MOST_LOOKS = 3
"""Pieces of the source that are shown with a token."""
LEAST_LOOK = 0.1


def ranking(hypotheses: "tuple[Hypothesis, ...]") -> "Table":
    """Hypotheses with their scores, best first."""
    table = _table("score", "text")
    for each in hypotheses:
        table.add_row(f"{each.score:.3f}", each.text)
    return table


def details(translation: "Translation") -> "Table":
    """The tokens of the best hypothesis, a line each."""
    tokens = translation.tokens
    looks, others = any(t.attention for t in tokens), any(t.alternatives for t in tokens)
    table = _table("token", "probability", *["looked at"] * looks, *["instead of"] * others)
    for token in tokens:
        cells = [token.piece.strip(), _percent(token.log_prob)]
        cells += [_looks(token, translation.source_pieces)] if looks else []
        cells += [
            "  ".join(f"{o.piece.strip() or '·'} {_percent(o.log_prob)}" for o in token.alternatives)
        ] * others
        table.add_row(*cells)
    return table


def as_json(token: "Token") -> dict[str, Any]:
    """A token, without what was not asked for."""
    return {name: value for name, value in asdict(token).items() if value != ()}


def _looks(token: "Token", pieces: tuple[str, ...]) -> str:
    ranked = sorted(zip(token.attention, pieces, strict=False), key=lambda pair: -pair[0])
    kept = [ranked[0], *(pair for pair in ranked[1:MOST_LOOKS] if pair[0] >= LEAST_LOOK)] if ranked else []
    return "  ".join(f"{piece.strip() or '·'} {100 * look:.0f} %" for look, piece in kept)


def _percent(log_prob: float) -> str:
    return f"{100 * math.exp(log_prob):.1f} %"


def _table(*columns: str) -> "Table":
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    return Table(*columns, box=SIMPLE_HEAD, pad_edge=False)
