from collections.abc import Iterator

import pytest
import structlog

from service import logs


@pytest.fixture(autouse=True)
def _plain_logs() -> Iterator[None]:
    logs.configure("debug", "json")
    yield
    structlog.reset_defaults()
