from collections.abc import Iterator
from pathlib import Path

import pytest

from service.registry import Served
from tests.fakes.toy_bundles import write_toy_classifier, write_toy_translator
from tests.fakes.toy_server import toy_served


@pytest.fixture
def translator(tmp_path: Path) -> Iterator[Served]:
    with toy_served(write_toy_translator(tmp_path)) as served:
        yield served


@pytest.fixture
def classifier(tmp_path: Path) -> Iterator[Served]:
    with toy_served(write_toy_classifier(tmp_path)) as served:
        yield served


@pytest.fixture(scope="module")
def shared_translator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One for all examples of a property."""
    with toy_served(write_toy_translator(tmp_path_factory.mktemp("models"))) as served:
        yield served
