from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from service import logs
from tests.fakes.toy_server import Toys, serve_toys


@pytest.fixture
async def toys(tmp_path: Path) -> AsyncIterator[Toys]:
    async with serve_toys(tmp_path / "models", limits={"max_texts": 100}) as running:
        yield running


@pytest.fixture(autouse=True)
def _plain_logs() -> None:
    logs.configure("debug", "json")
