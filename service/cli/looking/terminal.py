"""A matrix as a heat map of characters: coloured on a terminal, shaded where it is read from a file."""

from collections.abc import Iterator, Sequence

from service.cli.looking.matrix import Matrix, colours

SHADES = " ·:-=+*#%@"
"""Without colours, from 0 to 1; with signs, as far from the middle."""
RESET = "\x1b[0m"
MAX_NAME = 16
"""Characters of a row's name."""
CELL = 2
"""Characters of a cell: about as high as it is wide."""


def lines(matrix: Matrix, width: int, colour: bool) -> Iterator[str]:
    """Lines of at most `width` characters; a matrix that is wider is drawn in parts, one below the other."""
    margin = min(MAX_NAME, max(map(len, matrix.rows), default=0)) + 1
    each = max(1, (width - margin) // CELL)
    yield matrix.title
    for start in range(0, len(matrix.columns), each):
        part = slice(start, start + each)
        yield from _headings(matrix.columns[part], margin)
        for name, shares in zip(matrix.rows, matrix.shares[:, part], strict=True):
            cells = _coloured(shares, matrix.signed) if colour else _shaded(shares, matrix.signed)
            yield f"{_cut(name, margin - 1):>{margin - 1}} {cells}".rstrip()
        yield ""


def _headings(names: Sequence[str], margin: int) -> Iterator[str]:
    """Names of columns, written downwards, their ends in one line."""
    height = min(MAX_NAME, max(map(len, names), default=0))
    written = [_cut(name, height).rjust(height) for name in names]
    for row in range(height):
        letters = (name[row] for name in written)
        yield (" " * margin + "".join(f"{letter:<{CELL}}" for letter in letters)).rstrip()


def _coloured(shares: Sequence[float], signed: bool) -> str:
    to_colour = colours(signed)
    parts = []
    for share in shares:
        red, green, blue = to_colour(share)
        parts.append(f"\x1b[48;2;{red};{green};{blue}m{' ' * CELL}")
    return "".join(parts) + RESET


def _shaded(shares: Sequence[float], signed: bool) -> str:
    return "".join(_shade(share, signed) * CELL for share in shares)


def _shade(share: float, signed: bool) -> str:
    strength = abs(2 * share - 1) if signed else share
    return SHADES[min(len(SHADES) - 1, int(strength * len(SHADES)))]


def _cut(name: str, width: int) -> str:
    return name if len(name) <= width else f"{name[: width - 1]}…"
