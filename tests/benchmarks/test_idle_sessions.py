"""The benchmark of idle sessions and that of kills can be run: their figures are not looked at."""

import importlib
import json
from pathlib import Path

import pytest

from benchmarks import idle_sessions

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_a_few_idle_sessions_are_opened_packed_and_taken_up_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    out = tmp_path / "found.json"
    idle_sessions.main(
        200, 200, "memory,sqlite", 1, 2, 0.2, models=ROOT / "models", model="tatoeba-es-en", out=out
    )
    memory, cold = json.loads(out.read_text("utf-8"))
    assert (memory["tier"], cold["tier"]) == ("memory", "sqlite")
    assert all(row["sessions"] >= 200 and row["resume_p99_ms"] > 0 for row in (memory, cold))


@pytest.mark.parametrize("path", sorted((ROOT / "benchmarks").glob("*.py")), ids=lambda path: path.stem)
def test_every_part_can_be_imported(path: Path) -> None:
    importlib.import_module(f"benchmarks.{path.stem}")
