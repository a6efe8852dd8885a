import json
from pathlib import Path

import pytest

from benchmarks.figures import Figure, quantile
from benchmarks.picture import bars
from benchmarks.report import Column, Report, publish


def test_a_ratio_is_taken_round_by_round() -> None:
    ours, theirs = Figure.of([10.0, 40.0, 90.0]), Figure.of([10.0, 20.0, 30.0])
    assert ours.over(theirs).rounds == (1.0, 2.0, 3.0)


def test_a_figure_is_known_by_its_median_and_by_its_worst_and_best_round() -> None:
    figure = Figure.of([3.0, 1.0, 100.0])
    assert (figure.median, figure.low, figure.high) == (3.0, 1.0, 100.0)


@pytest.mark.parametrize(("share", "found"), [(0.5, 51), (0.99, 100), (1.0, 100)])
def test_a_quantile_is_a_value_that_was_measured(share: float, found: float) -> None:
    assert quantile(list(range(1, 101)), share) == found


def test_nothing_measured_has_no_quantile_to_divide_by() -> None:
    assert quantile([], 0.99) == 0.0


def test_a_table_shows_medians_with_their_spread_and_leaves_out_what_no_row_has() -> None:
    columns = [Column("a", "A", "{:.1f}", spread=True), Column("b", "B"), Column("what", "what")]
    report = Report("title", columns, [{"a": Figure.of([1.0, 2.0, 3.0]), "what": "words"}])
    assert "| A | what |\n|---|---|\n| 2.0 (1.0–3.0) | words |\n" in report.markdown()


def test_json_has_every_round(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    publish([Report("title", [Column("a", "A")], [{"a": Figure.of([1.0, 2.0])}])], tmp_path / "out.json")
    [found] = json.loads((tmp_path / "out.json").read_text("utf-8"))["reports"]
    assert found["rows"] == [{"a": {"median": 1.5, "low": 1.0, "high": 2.0, "rounds": [1.0, 2.0]}}]
    assert "### title" in capsys.readouterr().out


def test_the_longest_bar_of_a_picture_is_the_largest_figure() -> None:
    picture = bars("A & B", {"small": 1.0, "large": 4.0, "all": 5.0})
    widths = [
        float(part.split('"')[0])
        for part in picture.split('<rect x="220" y="')[1:]
        for part in [part.split('width="')[1]]
    ]
    assert widths[1] == 4 * widths[0]
    assert "A &amp; B: 5" in picture
