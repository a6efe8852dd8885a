"""The benchmark of overload can be run, and its callers hear what is said to them. Figures are not looked at."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import cast

import pytest

from benchmarks import overload
from benchmarks.figures import Figure
from benchmarks.overload_cores import Busy, Cores, running_on
from benchmarks.overload_picture import draw
from benchmarks.overload_uses import uses
from benchmarks.overload_wire import frame, headers, status_of
from benchmarks.processes import Running
from benchmarks.report import Report
from benchmarks.sentences import SENTENCES
from seqserve.v1.sequence_pb2 import TranslateRequest
from tests.fakes.http2 import frame as spoken

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_it_runs_and_leaves_figures_and_a_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    out, picture = tmp_path / "found.json", tmp_path / "curves.png"
    overload.main(quick=True, out=out, picture=picture)
    [report] = json.loads(out.read_text("utf-8"))["reports"]
    loads = [row["load"]["median"] for row in report["rows"]]
    assert loads == [0, 0.5, 4]
    assert all(row["server_mib"]["median"] > 50 for row in report["rows"])
    assert report["rows"][0]["offered_per_s"]["median"] > 0
    assert picture.read_bytes().startswith(b"\x89PNG")


def bench_of(*goodput: float) -> overload.Bench:
    """Its loads get so much done, one after the other."""
    bench = overload.Bench(cast("Running", None), Cores.of_machine(apart=False), "", "", 1, 0.2, 0.0)
    loads = iter(goodput)
    bench.load = lambda **_: {"goodput_per_s": next(loads)}  # type: ignore[method-assign]
    return bench


def test_a_capacity_is_looked_for_until_somebody_was_answered_in_time() -> None:
    """A machine that stands still for the time of a window would leave none to reckon with."""
    [rows] = bench_of(0, 0, 0, 50, 20, 100, 25).round([0.5, 4, 10], [8, 64], [None], seed=0)
    assert [row["load"] for row in rows] == [0, 0.5, 4, 10]
    assert [row["goodput"] for row in rows] == [0.5, 0.2, 1, 0.25]


def test_where_nobody_is_ever_answered_in_time_there_is_no_capacity() -> None:
    bench = bench_of(*[0] * overload.ATTEMPTS, 1)
    with pytest.raises(RuntimeError, match="nobody was answered in time"):
        bench.round([0.5], [8], [None], seed=0)


def test_a_load_of_which_nothing_ended_can_be_drawn(tmp_path: Path) -> None:
    """Also where warnings are errors."""
    keys = "offered_per_s", "goodput_per_s", "answer_ms", "answer_p99_ms", "refused_ms", "refused_p99_ms"
    report = Report("", [])
    for load, goodput in ((0.0, 5.0), (0.5, 0.0)):
        row = {**dict.fromkeys(keys, 0.0), "goodput_per_s": goodput, "offered_per_s": 1.0, "load": load}
        report.rows.append({key: Figure.of([value]) for key, value in row.items()})
    draw(report, tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_frames_and_headers_are_what_the_tests_of_the_wire_speak() -> None:
    assert frame(1, 4, 7, b"abc") == spoken(1, 4, 7, b"abc")
    assert b"\x0cgrpc-timeout\x04500m" in headers("/a.B/C", 500)


@pytest.mark.parametrize(
    ("payload", "status"), [(b"\0\x0bgrpc-status\x018", 8), (b"\0\x0bgrpc-status\x0214", 14), (b"\0\0", -1)]
)
def test_a_status_is_found_among_headers(payload: bytes, status: int) -> None:
    assert status_of(payload) == status


def test_every_share_is_had_and_every_turn_ends_a_session() -> None:
    kinds = uses("translator", "classifier")
    assert sum(use.share for use in kinds) == pytest.approx(1)
    [session] = [use for use in kinds if use.turns]
    assert all(len(turn) == len(session.begins) for turn in session.turns)
    assert len(session.turns) == 5


def test_a_page_has_as_many_sentences_as_were_asked_for() -> None:
    for sentences in (1, 3, 20):
        page = uses("translator", "classifier", sentences)[0]
        requests = [TranslateRequest.FromString(said[5:]) for said in page.begins]
        assert {len(request.texts) for request in requests} == {sentences}
        assert {request.texts[0] for request in requests} == set(SENTENCES)


def test_server_and_callers_have_no_core_in_common_where_there_are_two(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {7, 2, 4, 5})
    assert Cores.of_machine(apart=True) == Cores(frozenset({2, 4}), frozenset({5, 7}))
    assert str(Cores.of_machine(apart=True)) == "the server has cores 2, 4 and the callers have cores 5, 7"
    assert Cores.of_machine(apart=False) == Cores(frozenset({2, 4, 5, 7}), frozenset({2, 4, 5, 7}))
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {3})
    assert str(Cores.of_machine(apart=True)) == "server and callers share core 3"


def test_what_is_begun_on_some_cores_stays_there_and_who_began_it_does_not() -> None:
    before = os.sched_getaffinity(0)
    one = frozenset({max(before)})
    asked = [sys.executable, "-c", "import os; print(*os.sched_getaffinity(0))"]
    with running_on(one):
        begun = subprocess.run(asked, capture_output=True, text=True, check=True)
    assert begun.stdout.split() == [str(max(before))]
    assert os.sched_getaffinity(0) == before


def test_a_core_is_as_busy_as_the_system_says(monkeypatch: pytest.MonkeyPatch) -> None:
    told = iter(
        [
            "cpu 0 0 0 0 0 0 0 0 0 0\ncpu0 10 0 0 50 0 0 0 0 0 0\ncpu1 0 0 0 0 0 0 0 0 0 0\nintr 1",
            "cpu 0 0 0 0 0 0 0 0 0 0\ncpu0 25 0 5 60 10 0 0 0 0 0\ncpu1 0 0 9 0 0 1 0 0 0 0\nintr 1",
        ]
        * 2
    )
    monkeypatch.setattr(Path, "read_text", lambda *_: next(told))
    assert Busy().share(frozenset({0})) == pytest.approx(0.5)
    assert Busy().share(frozenset({0, 1})) == pytest.approx(0.6)
