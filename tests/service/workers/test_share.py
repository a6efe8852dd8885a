from pathlib import Path
from typing import Any

import pytest

from service.config import Settings
from service.errors import ConfigRefused
from service.workers.share import check, share, with_store


def settings(**pieces: Any) -> Settings:
    return Settings.load(flags={"server": {"workers": 3}} | pieces, environment={})


def test_all_workers_together_take_what_one_server_would() -> None:
    whole = settings(engine={"threads": 7}, sessions={"max_sessions": 10, "max_memory_bytes": 30 * 2**20})
    shares = [share(whole, index, 50051) for index in range(3)]
    assert [one.engine.threads for one in shares] == [2, 2, 2]
    assert {one.sessions.max_sessions for one in shares} == {4}
    assert sum(one.sessions.max_memory_bytes for one in shares) == whole.sessions.max_memory_bytes


def test_a_share_is_never_nothing() -> None:
    one = share(settings(sessions={"max_sessions": 1, "max_memory_bytes": 2**20}), 2, 50051)
    assert (one.engine.threads, one.sessions.max_sessions, one.sessions.max_memory_bytes) == (1, 1, 2**20)


def test_each_has_a_metrics_port_of_its_own_and_the_port_that_they_share() -> None:
    whole = settings(server={"workers": 3, "port": 0, "metrics_port": 9090})
    found = [share(whole, index, 40123).server for index in range(3)]
    assert [(one.port, one.metrics_port) for one in found] == [(40123, 9090), (40123, 9091), (40123, 9092)]
    assert share(settings(), 2, 1).server.metrics_port == 0


@pytest.mark.parametrize(("port", "metrics_port"), [(9092, 9090), (50051, 65534)])
def test_metrics_ports_that_cannot_be_had_are_refused(port: int, metrics_port: int) -> None:
    with pytest.raises(ConfigRefused, match=rf"metrics_port = {metrics_port}"):
        check(settings(server={"workers": 3, "port": port, "metrics_port": metrics_port}))


def test_a_store_within_one_process_is_refused() -> None:
    with pytest.raises(ConfigRefused, match="within one process, and there are 3 workers"):
        check(settings(store={"kind": "memory"}))


def test_where_no_store_is_set_workers_share_one_that_goes_with_them() -> None:
    with with_store(settings()) as shared:
        path = shared.store.path
        assert shared.store.kind == "sqlite"
        assert path.parent.stat().st_mode & 0o077 == 0
    assert not path.parent.exists()


def test_a_store_that_is_set_is_left_as_it_is(tmp_path: Path) -> None:
    whole = settings(store={"kind": "sqlite", "path": tmp_path / "s.sqlite"})
    with with_store(whole) as shared:
        assert shared == whole
