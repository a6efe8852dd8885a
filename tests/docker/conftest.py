"""Runs only with `--docker` (`make test-docker`): an engine needs rights that a container of a CI does not have."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

import pytest

from tests.docker import engine
from tests.docker.engine import BASE, IMAGE, docker, has, look
from tests.docker.site import COMPOSE, Site, site
from tests.docker.standins import STAND_INS
from tests.system.replicas.chaos import write_models


@pytest.fixture(scope="session")
def image() -> str:
    """The image of this checkout, built."""
    assert engine.runs(), "no Docker engine answers: start one, or leave out --docker"
    assert has(BASE), f"the image {BASE} is neither here nor to be had"
    engine.build()
    return IMAGE


@pytest.fixture(scope="session")
def services(image: str) -> list[str]:
    """The services of compose.yaml whose images are here, or can be made of what is installed."""
    images = {name: service["image"] for name, service in COMPOSE["services"].items()}
    lacking = [one.service for one in STAND_INS if not one.make(images[one.service])]
    assert not lacking, f"neither the images nor the programs of {lacking} are here"
    return [name for name in images if name != "grafana" or has(images[name])]


class Container(Protocol):
    def __call__(self, *arguments: str, command: tuple[str, ...] = ()) -> AbstractContextManager[str]: ...


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A translator and a classifier that both read one way."""
    folder = tmp_path_factory.mktemp("models")
    write_models(folder)
    return folder


@pytest.fixture(scope="module")
def at(services: list[str], models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(tmp_path_factory.mktemp("site"), services, models) as running:
        yield running


def size_of(image: str) -> int:
    return int(look(image)["Size"])


def removed(container: str) -> None:
    docker("rm", "--force", "--volumes", container, check=False)
