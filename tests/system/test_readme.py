"""The README's lines for killing the server, as a stranger types them, with the shipped models."""

import os
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from service.client import Client
from tests.fakes.ports import free_port
from tests.fakes.waiting import wait_until
from tests.service.cli.process import ROOT, Process

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

README = (ROOT / "README.md").read_text(encoding="utf-8")
SECTION = README.split("## Kill the server, watch it go on\n")[1].split("\n## ")[0]
SERVE, LIVE, KILL, COUNT = re.findall(r"^```sh\n(.+?)^```", SECTION, re.MULTILINE | re.DOTALL)
[PYTHON] = re.findall(r"^```python\n(.+?)^```", SECTION, re.MULTILINE | re.DOTALL)
NUM_LINES, NUM_WORDS = 30, 5


PAUSE = "sleep 0.2; while [ -e hold ]; do sleep 0.05; done"
"""In place of the README's second between two lines."""


class Terminals:
    """Three terminals in one folder; the server has a port of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.address = f"127.0.0.1:{free_port()}"
        self._server: subprocess.Popen[bytes] | None = None
        self._environment = Process(self.address).environment | {
            "SEQSERVE_SERVER__PORT": self.address.rpartition(":")[2],
            "SEQSERVE_MODELS__REPOSITORY": str(ROOT / "models"),
        }

    def serve(self) -> None:
        """What `make serve` runs, once it has installed what is needed."""
        [arguments] = re.findall(r"^make serve ARGS='(.*)'$", SERVE.strip())
        command = [sys.executable, "-m", "service", "serve", *arguments.split()]
        with (self.folder / "server.txt").open("wb") as told:
            self._server = subprocess.Popen(
                command, cwd=self.folder, env=self._environment, stdout=told, stderr=subprocess.DEVNULL
            )
        with Client(self.address, timeout=60, max_attempts=5) as client:
            wait_until(lambda: _answers(client), 120)

    def kill(self) -> None:
        """What the README's kill does."""
        if self._server is not None:
            self._server.kill()
            self._server.wait()

    @property
    def process(self) -> int:
        assert self._server is not None
        return self._server.pid

    def told(self) -> str:
        """What the server has said."""
        return (self.folder / "server.txt").read_text(encoding="utf-8")

    def shell(self, line: str) -> "subprocess.Popen[str]":
        line = re.sub(r"(\.venv/bin/|^)seqserve ", f"{sys.executable} -m service ", line)
        line = line.replace("sleep 1", PAUSE)
        return subprocess.Popen(
            ["bash", "-o", "pipefail", "-c", line],
            cwd=self.folder,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def num_labels(self) -> int:
        labels = self.folder / "labels.txt"
        return len(labels.read_text().splitlines()) if labels.exists() else 0


def _answers(client: Client) -> bool:
    try:
        return bool(client.models())
    except Exception:  # not yet
        return False


@pytest.fixture
def terminals(tmp_path: Path) -> Iterator[Terminals]:
    terminals = Terminals(tmp_path)
    yield terminals
    terminals.kill()


def test_the_server_is_killed_twice_and_every_label_comes_exactly_once(terminals: Terminals) -> None:
    assert shutil.which("bash")
    terminals.serve()
    live, hold = terminals.shell(LIVE), terminals.folder / "hold"
    for num_labels in (NUM_WORDS * 5, NUM_WORDS * 15):
        while terminals.num_labels() < num_labels:
            assert live.poll() is None, live.communicate()
            time.sleep(0.02)
        terminals.kill()
        hold.touch()  # else a slow start would let so many lines pile up that there is nothing left to break
        terminals.serve()
        hold.unlink()
    out, err = live.communicate(timeout=120)
    assert (live.returncode, out) == (0, (terminals.folder / "labels.txt").read_text())
    assert err.count("reconnecting …\n") == err.count(": nothing lost, nothing done twice") == 2
    assert out.splitlines() == undisturbed(terminals) * NUM_LINES
    counted, _ = terminals.shell(COUNT).communicate()
    assert [int(line.split()[0]) for line in counted.splitlines()] == [NUM_LINES] * NUM_WORDS
    assert Counter(out.splitlines()).keys() == set(undisturbed(terminals))


def undisturbed(terminals: Terminals) -> list[str]:
    [text] = re.findall(r'echo "(.+?)"', LIVE)
    seqserve = Process(terminals.address)
    return seqserve("classify", "--live", stdin=f"{text}\n".encode()).lines


def test_the_example_shows_what_a_person_sees(terminals: Terminals) -> None:
    terminals.serve()
    [shown] = re.findall(r"^```text\n(.+?)^```", SECTION, re.MULTILINE | re.DOTALL)
    labels = [line for line in shown.splitlines() if "\t" in line]
    assert len(labels) == 2
    assert set(labels) <= set(undisturbed(terminals))


def test_the_lines_fit_what_make_runs() -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    make = subprocess.run(
        ["bash", "-c", SERVE.replace("make ", "make --dry-run ", 1)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert make.stdout.splitlines()[-1] == "exec .venv/bin/seqserve serve --store sqlite"


def test_the_server_says_the_number_that_is_killed_and_what_it_says_next_shows_something(
    terminals: Terminals,
) -> None:
    terminals.serve()
    [words] = re.findall(r'\("(as process) NUMBER"\)', SECTION)
    assert KILL.strip() == "kill -9 NUMBER"
    wait_until(lambda: "Ctrl-C ends." in terminals.told(), 60)
    assert re.findall(rf"{words} (\d+)", terminals.told()) == [str(terminals.process)]
    hints = re.findall(r"^  (seqserve .+)$", terminals.told(), re.MULTILINE)
    assert len(hints) > 5
    for hint in hints:
        if "FILE" in hint:
            continue
        out, err = terminals.shell(f"{hint} < /dev/null").communicate(timeout=60)
        text = re.findall(r'"(.+)"$', hint)
        assert (err, out.strip() not in text) == ("", True), hint
        assert out or not text, hint


def test_the_sentence_that_is_translated_while_it_comes_in_is_translated_right(terminals: Terminals) -> None:
    terminals.serve()
    [line] = re.findall(r"^for word in .*--live --wait 3$", README, re.MULTILINE)
    out, err = terminals.shell(line.replace("sleep 0.5", "sleep 0.05")).communicate(timeout=60)
    assert (out, err) == ("My father bought a new car last week.\n", "")


def test_the_python_lines_work(terminals: Terminals) -> None:
    terminals.serve()
    with Client(terminals.address) as client:
        names: dict[str, Any] = {"client": client}
        exec(compile(PYTHON, "README.md", "exec"), names)
        assert names["session"].closed
        assert client.sessions() == []
