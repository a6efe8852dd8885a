import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks import (
    bursts,
    cold_start,
    durability,
    feeds,
    files,
    latency,
    mixed,
    precision,
    streams,
    workers,
)
from tests.conftest import Missing

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]

COMMANDS: dict[str, tuple[Callable[..., None], dict[str, Any]]] = {
    "streams": (streams.main, {"only": "bare,eager,echo"}),
    "feeds": (feeds.main, {}),
    "feeds by stubs": (feeds.main, {"stubs": True, "only": "echo"}),
    "bursts": (bursts.main, {"only": "naive"}),
    "mixed": (mixed.main, {}),
    "latency": (latency.main, {}),
    "files": (files.main, {}),
    "cold_start": (cold_start.main, {}),
    "precision": (precision.main, {}),
    "workers": (workers.main, {}),
    "durability": (durability.main, {"only": "sqlite"}),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_benchmark_runs_and_leaves_figures(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: Missing
) -> None:
    monkeypatch.chdir(ROOT)
    if name == "files" and not has("ctranslate2"):
        missing("ctranslate2")
    command, options = COMMANDS[name]
    command(quick=True, out=tmp_path / "found.json", **options)
    [report] = json.loads((tmp_path / "found.json").read_text("utf-8"))["reports"]
    figures = {
        key: value["median"] for row in report["rows"] for key, value in row.items() if has_rounds(value)
    }
    assert len(figures) >= 3
    assert all(value >= 0 for value in figures.values())
    assert any("/s" in column or column.endswith(("_ms", "_s")) for column in figures)


def has_rounds(value: object) -> bool:
    return isinstance(value, dict) and len(value["rounds"]) >= 1


def has(package: str) -> bool:
    from importlib.util import find_spec

    return find_spec(package) is not None
