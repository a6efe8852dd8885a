from pathlib import Path

import pytest
import torch

from tests.training.toy import write_data


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Threads that wait for each other make these small models slow on a busy machine."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def toy_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the copy task."""
    return write_data(tmp_path_factory.mktemp("data"))
