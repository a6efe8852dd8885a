"""Several workers behind one port beside a server of one process: `python -m benchmarks.workers`.

In turns, with the same clients by as many connections: translations token by token, and sessions that are fed subword
by subword. The clients are one process, and share the machine with the servers.
"""

import asyncio
import shlex
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from benchmarks import options
from benchmarks.clients import feeds, streams
from benchmarks.figures import Figure
from benchmarks.options import QUICK_S, numbers_of
from benchmarks.processes import Running, running_server
from benchmarks.report import Column, Report, publish, rounds_note
from benchmarks.window import Client, Round, observe
from benchmarks.work import newest, num_texts, requests_of, sentences_of, texts_of
from service.bundle import Bundle
from service.client import AsyncClient

COLUMNS = [
    Column("work", "what"),
    Column("at_once", "at once", "{:.0f}"),
    Column("one_per_s", "tokens/s by one process", spread=True),
    Column("per_s", "by workers", spread=True),
    Column("ratio", "× one process", "{:.2f}", spread=True),
    Column("one_first_ms", "first token, ms, by one", "{:.1f}"),
    Column("first_ms", "by workers", "{:.1f}"),
    Column("one_between_ms", "between, ms, by one", "{:.2f}"),
    Column("between_ms", "by workers", "{:.2f}"),
    Column("one_p99_ms", "p99, ms, by one", "{:.1f}"),
    Column("p99_ms", "by workers", "{:.1f}"),
    Column("one_server_us", "server, µs/token, by one"),
    Column("server_us", "by workers"),
    Column("one_batch", "mean batch, of one", "{:.1f}"),
    Column("batch", "of the first worker", "{:.1f}"),
    Column("one_cores", "cores in use, with one", "{:.2f}"),
    Column("cores", "with workers", "{:.2f}"),
]


def main(
    models: options.Models = Path("models"),
    model: options.Translator = "tatoeba-es-en",
    classifier: options.Classifier = "snips-intents",
    texts: options.Texts = None,
    at_once: options.Numbers = "64",
    workers: Annotated[int, typer.Option(min=2, help="How many.")] = 2,
    connections: Annotated[int, typer.Option(min=1, help="Connections of the clients, to either.")] = 16,
    rounds: options.Rounds = 5,
    seconds: options.Seconds = 2.0,
    threads: options.Threads = 1,
    server: options.Server = "",
    multiplex: options.Multiplex = False,
    quick: options.Quick = False,
    out: options.Out = None,
) -> None:
    """Measure and print a table in Markdown."""
    if quick:
        rounds, seconds, at_once = 1, QUICK_S, "4"
    report = Report(f"{workers} workers beside one process", COLUMNS)
    report.notes = [f"clients by {connections} connections", rounds_note(rounds, seconds)]
    with ExitStack() as stack:
        kinds = [shlex.split(server), [*shlex.split(server), "--workers", str(workers)]]
        one, several = (
            stack.enter_context(running_server(models, threads, kind, patient=True)) for kind in kinds
        )
        translator, reader = (Bundle.read(newest(models, name)) for name in (model, classifier))
        found = asyncio.run(texts_of(one.address, translator, sentences_of(texts, num_texts(quick))))
        works = {
            "streams": Work(lambda client, n: streams(client, model, found, n), (model, "step")),
            "feeds": Work(
                lambda client, n: feeds(client, classifier, requests_of(reader), n), (classifier, "classify")
            ),
        }
        for name, work in works.items():
            for number in numbers_of(at_once):
                row = measured(Sides(one, several, connections, multiplex), work, number, rounds, seconds)
                report.rows.append({"work": name, "at_once": Figure.of([number]), **row})
    publish([report], out)


@dataclass(frozen=True)
class Work:
    """What clients do."""

    clients: Callable[[AsyncClient, int], list[Client]]
    """So many at once, all of one client's connections."""
    graph: tuple[str, str]
    """Which batches are counted: of this model, and of it this graph."""


@dataclass(frozen=True)
class Sides:
    """What is compared, and how clients come to either."""

    one: Running
    several: Running
    connections: int
    multiplex: bool

    async def heard(self, served: Running, work: Work, number: int, seconds: float) -> Round:
        client = AsyncClient(served.address, connections=self.connections, multiplex=self.multiplex)
        async with client:
            return await observe(served, work.clients(client, number), seconds)


def measured(sides: Sides, work: Work, number: int, rounds: int, seconds: float) -> dict[str, Figure]:
    """Both in turns, the one first and then the other."""
    rows = []
    for turn in range(rounds):
        order = (sides.one, sides.several)[:: 1 if turn % 2 == 0 else -1]
        both = {served.address: asyncio.run(sides.heard(served, work, number, seconds)) for served in order}
        rows.append(row_of(both[sides.one.address], both[sides.several.address], work.graph))
    return {key: Figure.of(row[key] for row in rows) for key in rows[0]}


def row_of(one: Round, several: Round, graph: tuple[str, str]) -> dict[str, float]:
    """One round of both; the graph by its model and name."""
    row = {"ratio": several.tokens_per_s / one.tokens_per_s}
    for prefix, found in (("one_", one), ("", several)):
        row |= {
            f"{prefix}per_s": found.tokens_per_s,
            f"{prefix}between_ms": found.between_ms(0.5),
            f"{prefix}p99_ms": found.between_ms(0.99),
            f"{prefix}server_us": found.server_us,
            f"{prefix}batch": found.counted.mean_batch(*graph),
            f"{prefix}cores": (found.server_cpu_s + found.client_cpu_s) / found.seconds,
        }
        if found.first_s:
            row[f"{prefix}first_ms"] = found.first_ms(0.5)
    return row


if __name__ == "__main__":
    typer.run(main)
