from collections.abc import Iterator

import pytest

from service.registry import Served
from tests.fakes.toy_bundles import write_toy_classifier, write_toy_translator
from tests.fakes.toy_server import toy_served


@pytest.fixture(scope="session")
def translator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with toy_served(write_toy_translator(tmp_path_factory.mktemp("models"))) as served:
        yield served


@pytest.fixture(scope="session")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with toy_served(write_toy_classifier(tmp_path_factory.mktemp("models"))) as served:
        yield served
