"""What every test gets: settings of its own, no leftovers of the developer's environment, honest skips."""

import os
import signal
from collections.abc import Iterator
from typing import NoReturn, Protocol

import pytest
from hypothesis import HealthCheck, settings

from tests.fakes import logs

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # before anything imports ONNX Runtime

# A shell's background job is deaf to Ctrl-C, and so would be the programs that tests interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)

logs.to_pytest()

IN_CI = os.environ.get("CI", "").lower() in {"1", "true"}

# Time is not what these tests measure: a busy machine must not fail them.
settings.register_profile("laptop", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", parent=settings.get_profile("laptop"), derandomize=True, print_blob=True)
settings.load_profile("ci" if IN_CI else "laptop")


class Missing(Protocol):
    """Call it with what is not there: the test skips on a laptop and fails in CI."""

    def __call__(self, what: str) -> NoReturn: ...


@pytest.fixture
def missing() -> Missing:
    def skip_or_fail(what: str) -> NoReturn:
        if IN_CI:
            pytest.fail(f"{what} is missing; in CI nothing may be skipped")
        pytest.skip(f"{what} is missing")

    return skip_or_fail


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("SEQSERVE_")]:
        monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def _logs_as_they_were() -> Iterator[None]:
    yield
    logs.to_pytest()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--docker", action="store_true", help="run the tests that need a Docker engine, too")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--docker"):
        items[:] = [item for item in items if "docker" not in item.path.relative_to(config.rootpath).parts]
    wanting_gpu = [item for item in items if item.get_closest_marker("gpu")]
    if wanting_gpu and not has_gpu():
        for item in wanting_gpu:
            item.add_marker(pytest.mark.skip(reason="no CUDA device"))


def has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()
