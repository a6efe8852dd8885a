"""What abandoned calls leave behind can be measured: the figures themselves are not looked at."""

import json
from pathlib import Path

import pytest

from benchmarks import abandoned

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_every_way_of_leaving_is_measured_in_both_servers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(abandoned, "SETTLING_S", 0.1)
    abandoned.main(calls=20, rounds=2, out=tmp_path / "found.json")
    [report] = json.loads((tmp_path / "found.json").read_text("utf-8"))["reports"]
    assert len({row["way"] for row in report["rows"]}) == 4
    assert all(len(row[side]["rounds"]) == 2 for row in report["rows"] for side in ("ours", "blocks", "bare"))
