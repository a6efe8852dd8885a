"""A text whose tokens stand on colours: the brighter, the less a model expected them."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from service.cli.looking.matrix import colours
from service.cli.looking.terminal import RESET

if TYPE_CHECKING:
    from service.client.results import Token

BRIGHTEST = 8.0
"""Nats of surprise from which on it grows no brighter: a probability of 1 in 3,000."""
LIGHT = 0.55
"""Grounds that are brighter have dark letters."""
END = "∎"
"""Stands for a token without letters: the end of the output."""


def heat_line(tokens: "Iterable[Token]") -> str:
    """The pieces of the tokens on their colours; line ends are seen, and end lines."""
    return "".join(_coloured(token.piece or END, -token.log_prob) for token in tokens)


def _coloured(piece: str, surprise: float) -> str:
    share = min(max(surprise / BRIGHTEST, 0.0), 1.0)
    red, green, blue = colours(signed=False)(share)
    ink = 30 if share > LIGHT else 97
    shown = piece.replace("\n", f"⏎{RESET}\n")
    return f"\x1b[{ink};48;2;{red};{green};{blue}m{shown}{RESET}"
