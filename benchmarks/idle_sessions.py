"""Many idle sessions on one server process: what each takes, what a resume takes, and what the active ones notice.

`python -m benchmarks.idle_sessions` takes about five minutes. Idle sessions are of a classifier whose state is that of
an LSTM of 2 layers of 512 (8 KiB); the active ones stream translations, token by token, before and beside them. In
`memory` all sessions lie packed in the server's memory, each with a copy of its state; in the rows of the stores the
memory is so small that all are cold.
"""

import asyncio
import json
import os
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.crowd import opened, resumed, streamed
from benchmarks.processes import free_port, resident_bytes, wait_until_listening
from benchmarks.sentences import SENTENCES
from benchmarks.stores import ended, has_redis, redis
from tests.bundles import write_classifier

MODEL = "idle-lstm"
STATE_BYTES = 2 * 2 * 512 * 4
MEBIBYTE = 1024 * 1024


@dataclass(frozen=True)
class Active:
    """What the active streams got: medians of five rounds."""

    tokens_per_s: float
    between_p50_ms: float
    between_p99_ms: float


@dataclass(frozen=True)
class Row:
    """One place where the idle sessions lie."""

    tier: str
    sessions: int
    opened_per_s: float
    bytes_per_session: float | None
    overhead: float | None
    """Bytes of a session by bytes of its state."""
    resume_p50_ms: float
    resume_p99_ms: float
    before: Active
    beside: Active


@dataclass(frozen=True)
class Running:
    """A server in a process of its own."""

    address: str
    metrics: str
    pid: int

    def rss(self) -> int:
        """Bytes of memory that the process has now."""
        return resident_bytes(self.pid)

    def metric(self, name: str, tier: str) -> float:
        page = urllib.request.urlopen(self.metrics, timeout=30).read().decode()
        return float(re.findall(rf'^{name}{{tier="{tier}"}} (\S+)$', page, re.M)[0])


def main(
    sessions: Annotated[int, typer.Option(help="Idle sessions in memory.")] = 100_000,
    cold: Annotated[int, typer.Option(help="Cold sessions in each store.")] = 10_000,
    tiers: Annotated[str, typer.Option(help="Where they lie.")] = "memory,sqlite,redis",
    forks: Annotated[int, typer.Option(help="Sessions that are forks of each that is opened and fed.")] = 1,
    streams: Annotated[int, typer.Option(help="Active streams.")] = 16,
    seconds: Annotated[float, typer.Option(help="Length of a round of theirs; there are five.")] = 3.0,
    models: Annotated[Path, typer.Option(help="Where the translator lies.")] = Path("models"),
    model: Annotated[str, typer.Option(help="The translator of the active streams.")] = "tatoeba-es-en",
    out: Annotated[Path | None, typer.Option(help="Write the table as JSON, too.")] = None,
) -> None:
    """Measure and print a table in Markdown."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        repository = _repository(Path(folder), models / model)
        for tier in tiers.split(","):
            if tier == "redis" and not has_redis():
                print("no redis-server here: left out", file=sys.stderr)
                continue
            number = sessions if tier == "memory" else cold
            with server(Path(folder), repository, tier) as running:
                rows.append(asyncio.run(measured(running, tier, number, forks, (model, streams, seconds))))
            print(markdown(rows[-1:]), flush=True)
    print(markdown(rows))
    if out:
        out.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n", "utf-8")


async def measured(running: Running, tier: str, number: int, forks: int, load: tuple[str, int, float]) -> Row:
    """Active streams alone, idle sessions opened, active streams beside them, idle ones resumed."""
    before, rss = await active(running, *load), running.rss()
    began = time.perf_counter()
    ids = await opened(running.address, MODEL, number, forks, tier)
    number, rate = len(ids), len(ids) / (time.perf_counter() - began)
    await settled(running)
    grown = (running.rss() - rss) / number
    beside = await active(running, *load)
    chosen = random.Random(1).sample(ids[: number * 9 // 10], min(1000, number // 2))
    seconds = await resumed(running.address, chosen)
    in_memory = tier == "memory"
    return Row(
        tier=tier,
        sessions=number,
        opened_per_s=rate,
        bytes_per_session=grown if in_memory else None,
        overhead=grown / STATE_BYTES if in_memory else None,
        resume_p50_ms=statistics.median(seconds) * 1000,
        resume_p99_ms=p99(seconds) * 1000,
        before=before,
        beside=beside,
    )


async def active(running: Running, model: str, streams: int, seconds: float) -> Active:
    """What so many streams of translations get; the median of five rounds."""
    rounds = [await streamed(running.address, model, streams, SENTENCES, seconds) for _ in range(5)]
    return Active(
        tokens_per_s=statistics.median(rate for rate, _ in rounds),
        between_p50_ms=statistics.median(statistics.median(gaps) for _, gaps in rounds) * 1000,
        between_p99_ms=statistics.median(p99(gaps) for _, gaps in rounds) * 1000,
    )


async def settled(running: Running) -> None:
    """Return when the memory of idle sessions has not changed for three seconds: all are packed, or cold."""
    last, since = -1.0, time.monotonic()
    while time.monotonic() - since < 3:
        now = running.metric("seqserve_session_bytes", "idle")
        if now != last:
            last, since = now, time.monotonic()
        await asyncio.sleep(0.5)


def p99(seconds: Sequence[float]) -> float:
    """The 99th percentile."""
    return sorted(seconds)[int(len(seconds) * 0.99)]


def markdown(rows: list[Row]) -> str:
    """The table."""
    head = (
        "| idle sessions | opened | bytes each | × state | resume p50 / p99 | active tokens/s | between p50 | "
        "between p99 |"
    )
    lines = []
    for row in rows:
        b, w = row.before, row.beside
        size = f"{row.bytes_per_session:,.0f} | {row.overhead:.2f}" if row.bytes_per_session else "– | –"
        lines.append(
            f"| {row.sessions:,} in {row.tier} | {row.opened_per_s:,.0f}/s | {size} "
            f"| {row.resume_p50_ms:.1f} / {row.resume_p99_ms:.1f} ms "
            f"| {b.tokens_per_s:,.0f} → {w.tokens_per_s:,.0f} ({w.tokens_per_s / b.tokens_per_s:.2f}) "
            f"| {b.between_p50_ms:.2f} → {w.between_p50_ms:.2f} ms "
            f"| {b.between_p99_ms:.2f} → {w.between_p99_ms:.2f} ms ({w.between_p99_ms / b.between_p99_ms:.2f}) |"
        )
    return "\n".join([head, "|" + "---|" * 8, *lines])


@contextmanager
def server(folder: Path, repository: Path, tier: str) -> Iterator[Running]:
    """A server whose idle sessions come to lie in this tier soon."""
    settings = {
        "SESSIONS__MAX_SESSIONS": "1000000",
        "SESSIONS__MAX_SESSIONS_PER_OWNER": "1000000",
        "SESSIONS__MAX_MEMORY_BYTES": str((4096 if tier == "memory" else 4) * MEBIBYTE),
        "SESSIONS__DEFAULT_TTL_S": "3600",
        "SESSIONS__COMPACT_AFTER_S": "1",
    }
    port, metrics = free_port(), free_port()
    with ExitStack() as stack:
        if tier != "memory":
            settings |= {"STORE__KIND": tier, "STORE__PATH": str(folder / "sessions.sqlite")}
        if tier == "redis":
            settings["STORE__URL"] = stack.enter_context(redis(folder))[0]
        command = [sys.executable, "-m", "service", "serve", "--models", str(repository), "--port", str(port)]
        command += ["--metrics-port", str(metrics), "--log-level", "warning"]
        environment = os.environ | {f"SEQSERVE_{name}": value for name, value in settings.items()}
        process = stack.enter_context(
            ended(subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment))
        )
        wait_until_listening(port, process)
        yield Running(f"127.0.0.1:{port}", f"http://127.0.0.1:{metrics}/metrics", process.pid)


def _repository(folder: Path, translator: Path) -> Path:
    """A repository of the translator and of a classifier with random weights, whose state is `STATE_BYTES` long."""
    repository = folder / "models"
    repository.mkdir()
    shutil.copytree(translator, repository / translator.name)
    encoder = {"layers": 2, "hidden": 512, "bidirectional": False}
    write_classifier(repository, MODEL, encoder=encoder, pooling="last")
    return repository


if __name__ == "__main__":
    typer.run(main)
