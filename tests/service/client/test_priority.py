"""What a client asks for stands in all of its calls, of every kind, sync and async."""

from pathlib import Path

import pytest

from service.client import InvalidRequest
from tests.fakes.toy_thread import toys_on_a_thread
from tests.service.api.test_urgency import waited
from tests.service.client.conftest import Connect
from tests.service.client.test_access import ANSWERS, used


def test_every_kind_of_call_has_the_priority_of_its_client_and_the_same_answers(
    connect: Connect, tmp_path: Path
) -> None:
    with toys_on_a_thread(tmp_path / "models") as toys:
        with connect(toys.server.address) as client:
            assert used(client) == ANSWERS
        jobs = waited(toys)
        assert jobs.keys() == {"normal"}
        with connect(toys.server.address, priority="low") as client:
            assert used(client) == ANSWERS
        assert waited(toys) == jobs | {"low": jobs["normal"]}


def test_a_priority_that_there_is_not_is_refused_by_the_server(connect: Connect, tmp_path: Path) -> None:
    with (
        toys_on_a_thread(tmp_path / "models") as toys,
        connect(toys.server.address, priority="urgent") as client,
        pytest.raises(InvalidRequest, match="high, normal, low"),
    ):
        client.models()
