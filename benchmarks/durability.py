"""What it costs that sessions outlive their server: `python -m benchmarks.durability`.

The same sessions, fed subword by subword, each as soon as the last is answered: kept in memory alone, written to a
store behind their backs, and written before each answer; stores are a SQLite file and a Redis on the same machine.
"""

import asyncio
import shlex
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import typer

from benchmarks import options
from benchmarks.bare import BareLoop
from benchmarks.clients import feeds
from benchmarks.figures import Figure
from benchmarks.options import QUICK_S, chosen, numbers_of
from benchmarks.processes import Running, running_server
from benchmarks.report import Column, Report, publish, rounds_note
from benchmarks.stores import has_redis, redis
from benchmarks.window import observe
from benchmarks.work import newest, requests_of
from service.client import AsyncClient

COLUMNS = [
    Column("sessions", "sessions", "{:.0f}"),
    Column("store", "store"),
    Column("durability", "written"),
    Column("feeds_per_s", "feeds/s", spread=True),
    Column("kept", "of those in memory alone", "{:.2f}", spread=True),
    Column("answer_ms", "answer, ms", "{:.2f}"),
    Column("answer_p99_ms", "p99", "{:.1f}"),
    Column("server_us", "server, µs/feed", spread=True),
]
MEMORY = "memory alone"
WAYS = ("every 8 steps", "every step")
"""How often a session is written; the first is what a server with a store does where the client does not say."""


def main(
    models: options.Models = Path("models"),
    model: options.Classifier = "snips-intents",
    sessions: options.Numbers = "1,64",
    rounds: options.Rounds = 3,
    seconds: options.Seconds = 2.0,
    threads: options.Threads = 1,
    server: options.Server = "",
    only: options.Only = "",
    multiplex: options.Multiplex = False,
    quick: options.Quick = False,
    out: options.Out = None,
) -> None:
    """Measure and print a table in Markdown; --only takes sqlite, redis."""
    if quick:
        rounds, seconds, sessions = 1, QUICK_S, "4"
    plan = Plan(newest(models, model), rounds, seconds, threads, shlex.split(server), only, multiplex)
    publish([asyncio.run(measured(plan, numbers_of(sessions)))], out)


@dataclass(frozen=True)
class Plan:
    """What to measure."""

    bundle: Path
    rounds: int
    seconds: float
    threads: int
    server: list[str]
    only: str
    multiplex: bool

    def serve(self, stack: ExitStack, *arguments: str) -> Running:
        models = self.bundle.parent.parent
        return stack.enter_context(
            running_server(models, self.threads, [*self.server, *arguments], patient=True)
        )


async def measured(plan: Plan, numbers: list[int]) -> Report:
    report = Report(f"Feeds to {plan.bundle.parent.name} that outlive the server", COLUMNS)
    requests = requests_of(BareLoop(plan.bundle, 1).bundle)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        servers = {MEMORY: plan.serve(stack)}
        if chosen(plan.only, "sqlite"):
            servers["SQLite"] = plan.serve(stack, "--store", f"sqlite:{folder / 'sessions.sqlite'}")
        if chosen(plan.only, "redis") and has_redis():
            servers["Redis"] = plan.serve(stack, "--store", stack.enter_context(redis(folder))[0])
        report.notes = ["a feed is one subword", rounds_note(plan.rounds, plan.seconds)]
        if "Redis" not in servers:
            report.notes.append("without Redis")
        for number in numbers:
            report.rows += await rows(plan, servers, requests, number)
    return report


async def rows(
    plan: Plan, servers: dict[str, Running], requests: list[list[int]], number: int
) -> list[dict[str, Figure | str]]:
    """A row for each store and way; all of a round in turn, so that its shares are of the same minute."""
    ways = [(MEMORY, "none"), *((store, way) for store in servers if store != MEMORY for way in WAYS)]
    found: dict[tuple[str, str], list[dict[str, float]]] = {way: [] for way in ways}
    for _ in range(plan.rounds):
        alone = 0.0
        for way in ways:
            each = await fed(plan, servers[way[0]], requests, number, way[1])
            alone = alone or each["feeds_per_s"]
            found[way].append(each | ({} if way[0] == MEMORY else {"kept": each["feeds_per_s"] / alone}))
    return [_row(number, store, way, found[store, way]) for store, way in ways]


def _row(number: int, store: str, way: str, rounds: list[dict[str, float]]) -> dict[str, Figure | str]:
    figures = {key: Figure.of(each[key] for each in rounds) for key in rounds[0]}
    return {"sessions": Figure.of([number]), "store": store, "durability": way, **figures}


async def fed(
    plan: Plan, server: Running, requests: list[list[int]], number: int, durability: str
) -> dict[str, float]:
    async with AsyncClient(server.address, multiplex=plan.multiplex) as client:
        clients = feeds(client, plan.bundle.parent.name, requests, number, durability=durability)
        heard = await observe(server, clients, plan.seconds)
    return {
        "feeds_per_s": heard.tokens_per_s,
        "answer_ms": heard.between_ms(0.5),
        "answer_p99_ms": heard.between_ms(0.99),
        "server_us": heard.server_us,
    }


if __name__ == "__main__":
    typer.run(main)
