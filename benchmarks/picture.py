"""A bar chart as SVG, for the docs: readable on light and on dark ground."""

from collections.abc import Mapping
from html import escape

WIDTH, LEFT, ROW, BAR = 760, 220, 26, 16
COLOURS = "#4c78a8", "#f58518", "#54a24b", "#e45756", "#72b7b2", "#b279a2", "#9d755d", "#bab0ac"
STYLE = "font: 13px system-ui, sans-serif; fill: #7a7f87"


def bars(title: str, figures: Mapping[str, float]) -> str:
    """One bar for each figure, in their order; a figure named `all` is drawn as the sum that it is."""
    longest = max([value for name, value in figures.items() if name != "all"], default=1.0) or 1.0
    total = figures.get("all", sum(figures.values()))
    shown = [(name, value) for name, value in figures.items() if name != "all"]
    height = 40 + ROW * len(shown) + 8
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">',
        f"<title>{escape(title)}</title>",
        f'<text x="0" y="16" style="{STYLE}; font-weight: 600">{escape(title)}: {total:,.0f}</text>',
    ]
    for at, (name, value) in enumerate(shown):
        y, length = 32 + ROW * at, (WIDTH - LEFT - 90) * value / longest
        colour = COLOURS[at % len(COLOURS)]
        lines += [
            f'<text x="{LEFT - 8}" y="{y + 13}" text-anchor="end" style="{STYLE}">{escape(name)}</text>',
            f'<rect x="{LEFT}" y="{y}" width="{max(length, 1):.1f}" height="{BAR}" rx="2" fill="{colour}"/>',
            f'<text x="{LEFT + max(length, 1) + 6:.1f}" y="{y + 13}" style="{STYLE}">{value:,.1f}</text>',
        ]
    return "\n".join([*lines, "</svg>", ""])
