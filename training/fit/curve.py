"""How a run went, as a picture: `curve.png`, drawn anew after each evaluation from `log.jsonl`."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

SKIPPED = {"epoch", "step", "minutes", "loss", "train_loss"}


def draw(log: Path, picture: Path, title: str) -> None:
    """Losses on the left axis, scores on dev on the right one, by epoch."""
    from matplotlib.figure import Figure

    entries = [json.loads(line) for line in log.read_text("utf-8").splitlines()]
    figure = Figure(figsize=(7, 4), dpi=120, layout="constrained")
    losses = figure.subplots()
    losses.set(title=title, xlabel="epoch", ylabel="loss per target")
    for name, label, style in (("train_loss", "train", ":"), ("loss", "dev", "-")):
        _line(losses, entries, name, label, style, "#4c78a8")
    names = sorted({name for entry in entries for name in entry} - SKIPPED)
    if names:
        scores = losses.twinx()
        scores.set_ylabel("score on dev")
        for name, colour in zip(names, ("#f58518", "#54a24b", "#e45756"), strict=False):
            _line(scores, entries, name, name, "-", colour)
        scores.legend(loc="center right", frameon=False)
    losses.legend(loc="upper right" if not names else "center left", frameon=False)
    losses.grid(alpha=0.3)
    figure.savefig(picture)


def _line(
    axes: Any, entries: Sequence[dict[str, float]], name: str, label: str, style: str, colour: str
) -> None:
    found = [(entry["epoch"], entry[name]) for entry in entries if name in entry]
    if found:
        axes.plot(*zip(*found, strict=True), style, color=colour, label=label, marker="o", markersize=3)
