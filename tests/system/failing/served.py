"""A server in a process of its own, what is taken away from it while it runs, and what it tells of its parts."""

import os
import resource
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from service.client import Client
from tests.fakes.faulty_graphs import write_faulty
from tests.fakes.ports import free_port
from tests.system.replicas.processes import Replica

PATIENCE_S = 90.0
MODEL = "faulty"
EVERY_STEP = "every step"
NOBODY_ELSE = 54321
"""A user's number."""


class Served(Replica):
    """It serves the model that fails on demand; its log is a file, unless it is told otherwise."""

    def __init__(self, folder: Path, *arguments: str, name: str = "served") -> None:
        models = folder / "models"
        if not models.exists():
            write_faulty(models)
        self.metrics_port = free_port()
        super().__init__(name, folder, models, "--metrics-port", str(self.metrics_port), *arguments)
        self.environment: dict[str, str] = {}
        self.wrapper: Sequence[str] = ()
        """A program that runs the server."""

    def command(self) -> Sequence[str]:
        assignments = [f"{name}={value}" for name, value in self.environment.items()]
        return (*self.wrapper, *(["env", *assignments] if assignments else ()), *super().command())

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def client(self, **options: float) -> Client:
        return Client(self.address, **{"timeout": 30.0, "patience": 30.0, **options})  # type: ignore[arg-type]

    def limit(self, what: int, value: int) -> None:
        """Let it have no more of something from now on; it can be given back."""
        _, hard = resource.prlimit(self.pid, what)
        resource.prlimit(self.pid, what, (value if hard < 0 else min(value, hard), hard))

    def give_back(self, what: int) -> None:
        _, hard = resource.prlimit(self.pid, what)
        resource.prlimit(self.pid, what, (hard, hard))

    def be_somebody(self) -> None:
        """Run as a user of whom there is nobody else, who may read everything: root's threads have no limit."""
        rights = "-all,+dac_override"
        self.wrapper = (
            *("setpriv", f"--reuid={NOBODY_ELSE}", "--clear-groups"),
            *(f"--inh-caps={rights}", f"--ambient-caps={rights}", f"--bounding-set={rights}"),
        )

    def may_begin_threads(self, yes: bool) -> None:
        """Only who it runs as may say so."""
        most = "4096" if yes else "1"
        subprocess.run([*self.wrapper, "prlimit", f"--pid={self.pid}", f"--nproc={most}:"], check=True)

    def next_file(self) -> int:
        """The number of the next file handle: the least that is free, once those of past connections are closed."""
        taken, before = self._files(), set[int]()
        while taken != before:
            time.sleep(0.5)
            taken, before = self._files(), taken
        return next(number for number in range(len(taken) + 1) if number not in taken)

    def _files(self) -> set[int]:
        return {int(number) for number in os.listdir(f"/proc/{self.pid}/fd")}

    def metric(self, name: str, **labels: str) -> float | None:
        """None where the page does not answer, or has no such sample."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}", timeout=10) as page:
                text = page.read().decode()
        except (OSError, urllib.error.URLError):
            return None
        samples = [one for family in text_string_to_metric_families(text) for one in family.samples]
        found = [one.value for one in samples if one.name == name and labels.items() <= one.labels.items()]
        return found[0] if found else None

    def until_part(self, part: str, *, works: bool) -> None:
        """Wait until health, and the metrics too, say so."""
        with self.client() as client:
            until(lambda: client.parts().get(part) is works, f"health: {part} {works}\n{self.log()}")
            assert client.serves(part) is works
            assert client.serves(), "the whole serves on"
        until(lambda: self.metric("seqserve_part_up", part=part) == works, f"metrics: {part} {works}")


def until(true: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < end, what
        time.sleep(0.05)


def fill(pipe: int) -> None:
    """Fill a pipe that nobody reads; whoever writes to it as usual would wait."""
    own = os.open(f"/proc/self/fd/{pipe}", os.O_WRONLY | os.O_NONBLOCK)
    with suppress(BlockingIOError):
        while os.write(own, b"x" * 4096):
            pass
    with suppress(BlockingIOError):
        while os.write(own, b"x"):
            pass
    os.close(own)


def can_be_somebody() -> bool:
    """Whether a process can be begun here as a user of its own."""
    if os.getuid() or shutil.which("setpriv") is None or shutil.which("prlimit") is None:
        return False
    tried = subprocess.run(["setpriv", f"--reuid={NOBODY_ELSE}", "--clear-groups", "true"], check=False)
    return tried.returncode == 0


def can_mount() -> bool:
    """Whether a disk of one's own can be had here."""
    tried = subprocess.run(
        ["unshare", "--mount", "sh", "-c", "mount -t tmpfs none /mnt"], capture_output=True, check=False
    )
    return tried.returncode == 0
