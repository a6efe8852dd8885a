"""What labels of neighbouring words say together: B-city I-city is one city. One copy for serving and for scoring."""

from collections.abc import Sequence
from typing import NamedTuple


class LabelSpan(NamedTuple):
    """Words from `first` up to `end` that are one thing."""

    label: str
    first: int
    end: int


def spans_of(labels: Sequence[str]) -> list[LabelSpan]:
    """The spans of B-, I- and O labels (Ramshaw and Marcus 1995), as the CoNLL scorer sees them.

    An I- that continues nothing begins a span; labels of another kind have none.
    """
    spans: list[LabelSpan] = []
    begun: tuple[str, int] | None = None
    for number, label in enumerate([*labels, "O"]):
        mark, _, kind = label.partition("-")
        goes_on = begun is not None and mark == "I" and kind == begun[0]
        if begun is not None and not goes_on:
            spans.append(LabelSpan(begun[0], begun[1], number))
            begun = None
        if mark in ("B", "I") and kind and not goes_on:
            begun = kind, number
    return spans
