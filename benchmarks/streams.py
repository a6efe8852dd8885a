"""Token streams through a server of its own, beside the bare graphs: `python -m benchmarks.streams`.

Each of n clients streams one translation after the other; every token is delivered to the application. Server, clients
and the bare loop share the machine, the loop running alone.
"""

import asyncio
import json
import re
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.bare import BareLoop
from benchmarks.sentences import SENTENCES
from service.client import AsyncClient, Client, ClientError


@dataclass(frozen=True)
class Row:
    """One number of streams at once; times are medians over all translations of the best of three rounds."""

    streams: int
    tokens_per_s: float
    bare_tokens_per_s: float
    ratio: float
    mean_batch: float
    first_token_ms: float
    between_tokens_ms: float


def main(
    models: Annotated[Path, typer.Option(help="Model repository.")] = Path("models"),
    model: Annotated[str, typer.Option(help="Translator in it, by name.")] = "tatoeba-es-en",
    texts: Annotated[Path | None, typer.Option(help="Sentences, one a line.")] = None,
    streams: Annotated[str, typer.Option(help="Streams at once.")] = "1,8,64",
    seconds: Annotated[float, typer.Option(help="Length of a round; there are three.")] = 5.0,
    threads: Annotated[int, typer.Option(help="Engine threads, in the server and in the bare loop.")] = 1,
    out: Annotated[Path | None, typer.Option(help="Write the table as JSON, too.")] = None,
) -> None:
    """Measure and print a table in Markdown."""
    sentences = texts.read_text("utf-8").splitlines() if texts else SENTENCES
    [path] = [place.parent for place in sorted((models / model).glob("*/manifest.json"))][-1:]
    bare = BareLoop(path, threads)
    rows = []
    for number in map(int, streams.split(",")):
        batch = list(islice(cycle(sentences), number))
        limit = bare.tokens_per_s(batch, 12, seconds)
        with running_server(models, threads) as (address, metrics):
            rows.append(measured(address, metrics, model, number, sentences, seconds, limit))
    print(markdown(rows))
    if out:
        out.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n", "utf-8")


def markdown(rows: list[Row]) -> str:
    """The table."""
    head = "| streams | tokens/s | bare graphs, tokens/s | ratio | mean step batch | first token | between tokens |"
    lines = [
        f"| {row.streams} | {row.tokens_per_s:,.0f} | {row.bare_tokens_per_s:,.0f} | {row.ratio:.2f} "
        f"| {row.mean_batch:.1f} | {row.first_token_ms:.1f} ms | {row.between_tokens_ms:.2f} ms |"
        for row in rows
    ]
    return "\n".join([head, "|" + "---|" * 7, *lines])


@contextmanager
def running_server(models: Path, threads: int) -> Iterator[tuple[str, str]]:
    """A server in a process of its own: its address, and that of its metrics."""
    port, metrics = free_port(), free_port()
    command = [sys.executable, "-m", "service", "serve", "--models", str(models), "--port", str(port)]
    command += ["--threads", str(threads), "--metrics-port", str(metrics), "--log-level", "warning"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        wait_until_serving(f"127.0.0.1:{port}")
        yield f"127.0.0.1:{port}", f"http://127.0.0.1:{metrics}/metrics"
    finally:
        process.terminate()
        process.wait(60)


def wait_until_serving(address: str, seconds: float = 60.0) -> None:
    """Return as soon as the server lists its models."""
    until = time.monotonic() + seconds
    while True:
        try:
            with Client(address) as client:
                client.models()
                return
        except ClientError:
            if time.monotonic() > until:
                raise
            time.sleep(0.1)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def measured(
    address: str, metrics: str, model: str, number: int, sentences: list[str], seconds: float, limit: float
) -> Row:
    """The best of three rounds."""
    best: tuple[float, list[float], list[float]] = (0.0, [], [])
    for _ in range(3):
        best = max(best, asyncio.run(a_round(address, model, number, sentences, seconds)))
    rate, first, between = best
    return Row(
        streams=number,
        tokens_per_s=rate,
        bare_tokens_per_s=limit,
        ratio=rate / limit,
        mean_batch=mean_step_batch(metrics, model),
        first_token_ms=statistics.median(first) * 1000,
        between_tokens_ms=statistics.median(between) * 1000,
    )


async def a_round(
    address: str, model: str, number: int, sentences: list[str], seconds: float
) -> tuple[float, list[float], list[float]]:
    """Tokens per second, times to the first token, times between tokens."""
    first: list[float] = []
    between: list[float] = []
    begin, num_tokens = time.perf_counter(), 0
    async with AsyncClient(address) as client:

        async def stream_on(start: int) -> None:
            nonlocal num_tokens
            for sentence in islice(cycle(sentences), start, None):
                last = asked = time.perf_counter()
                if asked - begin > seconds:
                    return
                async with client.stream_translate(sentence, model=model) as tokens:
                    async for _ in tokens:
                        now = time.perf_counter()
                        (first if last == asked else between).append(now - last)
                        num_tokens, last = num_tokens + 1, now

        await asyncio.gather(*(stream_on(start) for start in range(number)))
    return num_tokens / (time.perf_counter() - begin), first, between


def mean_step_batch(metrics: str, model: str) -> float:
    """Rows per batch of the graph `step`, from the server's own metrics."""
    page = urllib.request.urlopen(metrics, timeout=10).read().decode()
    names = ("sum", "count")
    pattern = r'^seqserve_batch_size_{}{{graph="step",model="{}/[^"]*"}} ([0-9.e+]+)$'
    total, count = (float(re.findall(pattern.format(n, re.escape(model)), page, re.M)[0]) for n in names)
    return total / count


if __name__ == "__main__":
    typer.run(main)
