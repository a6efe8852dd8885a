"""The client for Node: it says what the Python client says, and goes on when its connection or its server dies."""

import os
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.client import Client
from tests.conftest import Missing
from tests.system.replicas.chaos import write_models
from tests.system.replicas.processes import ROOT, Replica
from tests.system.replicas.talkers import CLASSIFIER, TRANSLATOR

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

EXAMPLE = ROOT / "examples" / "node"
WORDS = ["el", "gato", "duerme", "en", "la", "casa"]


class Node:
    """`node try.mjs` with the packages of the lock."""

    def __init__(self, folder: Path, address: str) -> None:
        self._folder = folder
        protos = str(ROOT / "protos")
        self._environment = {**os.environ, "SEQSERVE_ADDRESS": address, "SEQSERVE_PROTOS": protos}

    def __call__(self, model: str, *arguments: str) -> list[str]:
        """The lines that it writes."""
        command = ["node", "try.mjs", *arguments]
        environment = {**self._environment, "SEQSERVE_MODEL": model}
        done = subprocess.run(
            command, cwd=self._folder, env=environment, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replica]:
    folder = tmp_path_factory.mktemp("server")
    write_models(folder / "models")
    server = Replica("server", folder, folder / "models", "--store", f"sqlite:{folder / 'sessions.sqlite'}")
    server.start()
    server.wait()
    yield server
    server.kill()


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path | str:
    """The example with its packages, or what is missing for that."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        return "node, npm"
    folder = tmp_path_factory.mktemp("node")
    for name in ("package.json", "package-lock.json", ".npmrc", "seqserve.mjs", "try.mjs"):
        shutil.copy(EXAMPLE / name, folder)
    done = subprocess.run(
        ["npm", "ci", "--no-fund", "--no-audit"], cwd=folder, capture_output=True, text=True
    )
    return f"npm's registry: {done.stderr.strip()[-200:]}" if done.returncode else folder


@pytest.fixture
def node(server: Replica, installed: Path | str, missing: Missing) -> Node:
    return Node(installed if isinstance(installed, Path) else missing(installed), server.address)


def labels(server: Replica, words: list[str]) -> list[str]:
    """What the Python client is told after each word, as the example writes it."""
    with Client(server.address) as client, client.session(model=CLASSIFIER) as session:
        outputs = [session.feed(f"{word} ") for word in words]
    return [f"{word} {out.label} {out.probability:.6f}" for word, out in zip(words, outputs, strict=True)]


def test_it_translates_whole_and_token_by_token_as_python_does(node: Node, server: Replica) -> None:
    text = " ".join(WORDS)
    with Client(server.address) as client:
        wanted = client.translate(text, model=TRANSLATOR, beam_size=1).text
    assert wanted
    assert node(TRANSLATOR, "stream", "es", "en", text) == [wanted]
    assert len(node(TRANSLATOR, "translate", "es", "en", text, "la casa")) == 2


def test_a_session_goes_on_after_its_connection_broke(node: Node, server: Replica) -> None:
    *said, last = node(CLASSIFIER, "session", " ".join(WORDS))
    assert said == labels(server, WORDS)
    assert last == f"{len(WORDS)} turns, resumed 1 times"


def test_a_session_goes_on_after_its_server_was_killed(node: Node, server: Replica) -> None:
    words = WORDS * 150
    said: list[str] = []
    talking = threading.Thread(target=lambda: said.extend(node(CLASSIFIER, "session", " ".join(words))))
    talking.start()
    with Client(server.address) as client:
        while not any(one.input_position > 100 for one in client.sessions()):
            time.sleep(0.02)
    server.kill()
    server.start()
    server.wait()
    talking.join()
    assert said[:-1] == labels(server, words)
    assert said[-1] == f"{len(words)} turns, resumed 2 times"


def test_the_lock_names_no_registry() -> None:
    lock = (EXAMPLE / "package-lock.json").read_text()
    assert '"integrity"' in lock
    assert '"resolved"' not in lock
