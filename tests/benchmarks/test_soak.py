"""What a soak tells from a growing server; and a short soak, which fails where something is left over."""

import json
from pathlib import Path

import pytest

from benchmarks import soak
from benchmarks.soak_samples import BOUNDS, LEFT, Sample, Trend, grown, left_over, trends

ROOT = Path(__file__).resolve().parents[2]


def held(number: int, **more: float) -> Sample:
    """A sample of a server that holds the same all the time, but for some noise."""
    noise = (number * 7 % 5 - 2) / 2
    return dict.fromkeys(BOUNDS, 100.0 + noise) | more


def test_what_stays_is_flat() -> None:
    assert grown(trends([held(number) for number in range(300)])) == []


@pytest.mark.parametrize("name", BOUNDS)
def test_what_grows_is_named(name: str) -> None:
    slope = max(BOUNDS[name][0], BOUNDS[name][1] * 100) / 50
    samples = [held(number, **{name: 100 + slope * number}) for number in range(300)]
    assert grown(trends(samples)) == [name]


def test_what_grows_only_while_it_warms_up_is_flat() -> None:
    samples = [held(number, **{"memory, MiB": min(200.0, 100 + 2 * number)}) for number in range(300)]
    assert grown(trends(samples)) == []


def test_an_error_is_told_with_the_growth() -> None:
    trend = Trend.of([number % 2 * 50 for number in range(100)])
    assert abs(trend.grown) <= 1
    noisy = Trend.of([(number // 10 % 2) * 50.0 for number in range(100)])
    assert noisy.error > 10


def test_what_nobody_uses_any_more_is_told_of() -> None:
    nothing = dict.fromkeys(BOUNDS, 0.0)
    assert left_over(nothing) == []
    assert left_over(nothing | {"slots": 1.0, "tasks": LEFT["tasks"] + 1.0}) == ["slots: 1", "tasks: 41"]


@pytest.mark.slow
def test_a_short_soak_is_flat_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ends the command where it is not."""
    monkeypatch.chdir(ROOT)
    out, picture = tmp_path / "found.json", tmp_path / "curves.png"
    soak.main(minutes=0.25, out=out, picture=picture)
    samples = json.loads(out.read_text("utf-8"))["samples"]
    assert max(sample["calls"] for sample in samples) > 0
    assert max(sample["sessions"] for sample in samples) > 0
    assert picture.read_bytes().startswith(b"\x89PNG")
