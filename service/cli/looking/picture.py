"""Matrices as one PNG, drawn by matplotlib (extra `pictures`)."""

from collections.abc import Sequence
from pathlib import Path

from service.cli.looking.matrix import SHARES, SIGNS, Matrix
from service.cli.stop import USAGE, Stop

CELL_INCHES = 0.24
MARGIN_INCHES = 1.4
DPI = 150


def save(path: Path, matrices: Sequence[Matrix]) -> None:
    """One below the other; Stop where matplotlib is not installed, or the file cannot be written."""
    try:
        from matplotlib.colors import LinearSegmentedColormap
        from matplotlib.figure import Figure
    except ImportError:
        raise Stop("pictures need matplotlib: pip install 'seqserve[pictures]'", USAGE) from None
    maps = {
        signed: LinearSegmentedColormap.from_list("", [[part / 255 for part in stop] for stop in stops])
        for signed, stops in ((False, SHARES), (True, SIGNS))
    }
    heights = [len(matrix.rows) * CELL_INCHES + MARGIN_INCHES for matrix in matrices]
    width = max(len(matrix.columns) for matrix in matrices) * CELL_INCHES + 2 * MARGIN_INCHES
    figure = Figure(figsize=(max(5.0, width), sum(heights)), dpi=DPI, layout="constrained")
    grid = figure.subplots(len(matrices), 1, squeeze=False, height_ratios=heights)
    for axes, matrix in zip(grid[:, 0], matrices, strict=True):
        image = axes.imshow(matrix.shares, cmap=maps[matrix.signed], vmin=0, vmax=1, aspect="equal")
        axes.set_title(matrix.title, loc="left", fontsize=9)
        axes.set_xticks(range(len(matrix.columns)), [_shown(name) for name in matrix.columns], fontsize=7)
        axes.set_yticks(range(len(matrix.rows)), [_shown(name) for name in matrix.rows], fontsize=7)
        axes.tick_params(length=0)
        if max(map(len, matrix.columns), default=0) > 1:
            axes.tick_params(axis="x", rotation=90)
        bar = figure.colorbar(image, ax=axes, shrink=0.8, ticks=[0, 0.5, 1])
        bar.ax.set_yticklabels(_ends(matrix), fontsize=7)
        bar.outline.set_visible(False)
        axes.spines[:].set_visible(False)
    try:
        figure.savefig(path)
    except OSError as error:
        raise Stop(f"{path}: cannot be written: {error.strerror}", USAGE) from None
    except ValueError as error:
        raise Stop(f"{path}: cannot be written: {error}", USAGE) from None


def _ends(matrix: Matrix) -> list[str]:
    if not matrix.signed:
        return ["0", "½", "1"]
    reach = max(1.0, float(abs(matrix.values).max(initial=0)))
    return [f"{-reach:.2g}", "0", f"{reach:.2g}"]


def _shown(name: str) -> str:
    return name.replace("$", r"\$")  # no formula
