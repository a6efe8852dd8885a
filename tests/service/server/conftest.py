import pytest

from service import logs


@pytest.fixture(autouse=True)
def _plain_logs() -> None:
    logs.configure("debug", "json")
