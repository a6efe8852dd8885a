from pathlib import Path

import pytest

from service import cgroup
from service.cgroup import Quota, quota, usable_cores
from service.cli.checks.finding import Finding
from service.cli.checks.machine import cores, cpu, files, memory
from service.config import Settings


def write(root: Path, **contents: str) -> None:
    for name, text in contents.items():
        file = root / name.replace("__", "/").replace("_DOT_", ".")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


def test_what_is_not_well_must_say_what_to_do() -> None:
    with pytest.raises(ValueError, match="needs advice"):
        Finding("port", "taken", "problem")


def test_the_tightest_group_above_the_process_limits_it(tmp_path: Path) -> None:
    write(
        tmp_path,
        own="0::/pod/box\n",
        fs__pod__cpu_DOT_max="150000 100000\n",
        fs__cpu_DOT_max="max 100000\n",
        fs__pod__memory_DOT_max="max\n",
        fs__pod__box__cpu_DOT_max="400000 100000\n",
        fs__pod__box__memory_DOT_max="1000\n",
    )
    assert quota(tmp_path / "own", tmp_path / "fs") == Quota(1.5, 1000)


def test_version_one_groups_are_read_and_their_largest_number_is_no_limit(tmp_path: Path) -> None:
    write(
        tmp_path,
        own="4:memory:/box\n3:cpu:/box\n",
        fs__memory__memory_DOT_limit_in_bytes="9223372036854771712\n",
        fs__cpu__cpu_DOT_cfs_quota_us="50000\n",
        fs__cpu__cpu_DOT_cfs_period_us="100000\n",
    )
    assert quota(tmp_path / "own", tmp_path / "fs") == Quota(0.5, None)


def test_without_groups_there_are_no_limits(tmp_path: Path) -> None:
    assert quota(tmp_path / "own", tmp_path / "fs") == Quota()


def test_the_processor_s_abilities_are_found(tmp_path: Path) -> None:
    told = tmp_path / "cpuinfo"
    told.write_text("model name\t: Quick 9000\nflags\t\t: fpu avx2 avx512_vnni amx_int8\n")
    assert cpu(told).facts == {"model": "Quick 9000", "abilities": ["AVX2", "AVX-512 VNNI", "AMX int8"]}


def test_more_workers_than_the_container_s_cores_are_too_many() -> None:
    settings = Settings.load(flags={"server.workers": 64}, environment={})
    assert cores(settings, Quota(cores=1.5)).level == "warning"
    assert "server.workers to auto" in cores(settings, Quota(cores=1.5)).advice


def test_a_core_that_is_not_whole_is_not_counted_and_one_always_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroup, "num_cores", lambda: 8)
    for allowed, usable in ((None, 8), (3.7, 3), (0.5, 1), (64.0, 8)):
        monkeypatch.setattr(cgroup, "quota", lambda allowed=allowed: Quota(cores=allowed))
        assert usable_cores() == usable


def test_more_threads_than_the_container_s_cores_are_too_many() -> None:
    settings = Settings.load(flags={"engine.threads": 2}, environment={})
    assert cores(settings, Quota(cores=1.5)).level == "warning"
    assert "engine.threads to 1" in cores(settings, Quota(cores=1.5)).advice
    assert cores(Settings(), Quota(cores=1.5)).level == "ok"


def test_sessions_that_may_take_nearly_all_of_the_container_s_memory_are_too_many() -> None:
    assert memory(Settings(), Quota(memory_bytes=1200 * 1024 * 1024)).level == "warning"
    assert memory(Settings(), Quota()).level == "ok"


@pytest.mark.parametrize(
    ("limit", "level"), [(64, "problem"), (163, "warning"), (164, "ok"), (-1, "ok"), (1 << 40, "ok")]
)
def test_open_files_are_held_against_the_sessions(limit: int, level: str) -> None:
    settings = Settings.load(flags={"sessions.max_sessions": 100}, environment={})
    assert files(settings, limit).level == level
