"""Small models of sound and of readings, learned in seconds, and a server for all of them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pytest

from service.cli.run import run
from service.client import Client
from tests.service.cli.conftest import piped
from tests.service.cli.process import Ran
from tests.system.conftest import Running, serving
from tests.training import signals

HEARING = {"unit": "characters", "two_way": "false", "leave_out": "", "epochs": 11}


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What they are learned from: `tones` and `series`."""
    return signals.write_signals(tmp_path_factory.mktemp("signals"))


@pytest.fixture(scope="session")
def signal_models(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """toy-digits, toy-occupancy, toy-both-ways (labels), toy-waves (forecasts), toy-sizes (forecasts of any
    size), toy-shapes (captions).
    """
    folder = tmp_path_factory.mktemp("signal-models")
    for name, text, parts in (
        ("toy-digits", signals.HEARING, HEARING),
        ("toy-occupancy", signals.LABELLING, {"two_way": "false", "split": signals.HELD_OUT}),
        ("toy-both-ways", signals.LABELLING, {"two_way": "true", "split": signals.LATER}),
        ("toy-waves", signals.FORECASTING, {"scaling": "fixed"}),
        ("toy-sizes", signals.FORECASTING, {"scaling": "running"}),
        ("toy-shapes", signals.DESCRIBING, {}),
    ):
        _write(folder, name, text, parts, data)
    return folder / "models"


def _write(folder: Path, name: str, text: str, parts: dict[str, Any], data: Path) -> None:
    from training.export.bundle import export  # torch takes a moment to import
    from training.fit.train import train

    (folder / name).mkdir()
    recipe = signals.write_recipe(folder / name, text, **parts)
    lines = recipe.read_text().splitlines()
    recipe.write_text("\n".join(f'name = "{name}"' if line.startswith("name") else line for line in lines))
    train(recipe, data, folder / name / "run")
    export(folder / name / "run", folder / "models", data=data, tell=lambda _: None)


@pytest.fixture(scope="session")
def signal_server(signal_models: Path) -> Iterator[Running]:
    with serving(signal_models) as running:
        yield running


@pytest.fixture(scope="session")
def hears(signal_server: Running) -> Iterator[Client]:
    """A client of that server."""
    with Client(signal_server.address, timeout=60) as client:
        yield client


class Seqserve(Protocol):
    """Runs one command line in this process, against that server."""

    def __call__(self, *arguments: str | Path, stdin: bytes = b"") -> Ran: ...


@pytest.fixture
def seqserve(
    signal_server: Running, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Seqserve:
    monkeypatch.setenv("SEQSERVE_ADDRESS", signal_server.address)
    monkeypatch.setenv("NO_COLOR", "1")

    def call(*arguments: str | Path, stdin: bytes = b"") -> Ran:
        capfd.readouterr()
        with piped(stdin):
            code = run([str(argument) for argument in arguments])
        return Ran(code, *capfd.readouterr())

    return call


@pytest.fixture(scope="session")
def spoken() -> Any:
    """The samples of "zero two one"."""
    gap = np.zeros(500, np.int16)
    tones = [signals.tone(pitch) for pitch in (400, 1400, 800)]
    return np.concatenate([gap, *(part for tone in tones for part in (tone, gap))])
