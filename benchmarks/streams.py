"""Generation: n clients, each streaming one translation after the other: `python -m benchmarks.streams`.

Every token is an event of its own in the application. Beside it, in turns: the bare graphs, PyTorch, a server that only
echoes, and the service that people write by hand. Clients and servers share the machine.
"""

import asyncio
import shlex
import tempfile
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import typer

from benchmarks import options
from benchmarks.bare import BareLoop, Loop
from benchmarks.clients import streams as stream_clients
from benchmarks.figures import Figure
from benchmarks.naive_wire import NaiveCalls, naive_streams
from benchmarks.options import QUICK_S, chosen, numbers_of
from benchmarks.processes import Running, running_module, running_server
from benchmarks.report import Column, Report, publish, rounds_note
from benchmarks.window import Round, observe
from benchmarks.work import Text, newest, num_texts, sentences_of, texts_of
from service.client import AsyncClient
from service.config import SchedulerSettings

NAIVE = {"naive fp32": "fp32", "naive int8": "stock int8", "naive row-wise int8": "int8"}
"""Which arithmetic the hand-written service has."""

COLUMNS = [
    Column("streams", "streams", "{:.0f}"),
    Column("tokens_per_s", "tokens/s", spread=True),
    Column("bare", "of the bare graphs", "{:.2f}", spread=True),
    Column("bare_steps", "of their steps alone", "{:.2f}"),
    Column("echo", "of the echo", "{:.2f}"),
    Column("echo_multiplexed", "of the echo, multiplexed", "{:.2f}"),
    Column("eager", "× PyTorch", "{:.1f}"),
    Column("naive fp32", "× naive fp32", "{:.1f}"),
    Column("naive int8", "× naive int8", "{:.1f}"),
    Column("naive row-wise int8", "× naive row-wise int8", "{:.1f}"),
    Column("first_ms", "first token, ms"),
    Column("between_ms", "between tokens, ms", "{:.2f}"),
    Column("between_p99_ms", "p99", "{:.2f}"),
    Column("batch", "mean batch", "{:.1f}"),
    Column("server_us", "server, µs/token"),
    Column("client_us", "client, µs/token"),
    Column("bytes", "bytes/session"),
]


def main(
    models: options.Models = Path("models"),
    model: options.Translator = "tatoeba-es-en",
    texts: options.Texts = None,
    streams: options.Numbers = "1,8,64,256",
    rounds: options.Rounds = 3,
    seconds: options.Seconds = 2.0,
    threads: options.Threads = 1,
    run: options.Run = None,
    server: options.Server = "",
    only: options.Only = "",
    multiplex: options.Multiplex = False,
    quick: options.Quick = False,
    out: options.Out = None,
) -> None:
    """Measure and print a table in Markdown; --only takes bare, eager, echo, naive."""
    if quick:
        rounds, seconds, streams = 1, QUICK_S, "4"
    plan = Plan(models, model, rounds, seconds, threads, run, shlex.split(server), only, multiplex)
    publish([asyncio.run(measured(plan, sentences_of(texts, num_texts(quick)), numbers_of(streams)))], out)


@dataclass(frozen=True)
class Plan:
    """What to measure."""

    models: Path
    model: str
    rounds: int
    seconds: float
    threads: int
    run: Path | None
    server: list[str]
    only: str
    multiplex: bool = False

    @property
    def bundle(self) -> Path:
        return newest(self.models, self.model)


@dataclass
class Rivals:
    """What the server is compared with, each ready to run."""

    loops: dict[str, Loop] = field(default_factory=dict)
    echo: Running | None = None
    naive: dict[str, Running] = field(default_factory=dict)


async def measured(plan: Plan, sentences: list[str], numbers: list[int]) -> Report:
    report = Report(f"Generation with {plan.model}, {plan.threads} engine thread(s)", COLUMNS)
    with ExitStack() as stack:
        served = stack.enter_context(running_server(plan.models, plan.threads, plan.server, patient=True))
        bare = BareLoop(plan.bundle, plan.threads)
        texts = await texts_of(served.address, bare.bundle, sentences)
        rivals = rivals_of(plan, bare, texts, stack)
        for number in numbers:
            found = [await one_round(plan, served, rivals, texts, number) for _ in range(plan.rounds)]
            row = {key: Figure.of(each[key] for each in found) for key in found[0]}
            report.rows.append(row | {"bytes": Figure.of([bare.bytes_per_session(texts)])})
    report.notes = notes(texts, plan)
    return report


def rivals_of(plan: Plan, bare: BareLoop, texts: list[Text], stack: ExitStack) -> Rivals:
    rivals = Rivals()
    if chosen(plan.only, "bare"):
        rivals.loops["bare"] = bare
    if chosen(plan.only, "eager"):
        from benchmarks.eager import EagerLoop

        rivals.loops["eager"] = EagerLoop(plan.bundle, plan.threads, plan.run)
    if chosen(plan.only, "echo"):
        mean = round(sum(text.num_tokens for text in texts) / len(texts))
        rivals.echo = stack.enter_context(running_module("benchmarks.echo", "--num-tokens", str(mean)))
    if chosen(plan.only, "naive"):
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        for name, precision in NAIVE.items():
            rivals.naive[name] = stack.enter_context(running_naive(plan, folder / name, precision))
    return rivals


def running_naive(plan: Plan, folder: Path, precision: Any) -> Any:
    """The hand-written service with graphs of that arithmetic."""
    from benchmarks.variants import write_variant

    bundle = write_variant(plan.bundle, folder, precision, plan.run)
    return running_module("benchmarks.naive", "--translator", str(bundle), "--threads", str(plan.threads))


async def one_round(
    plan: Plan, served: Running, rivals: Rivals, texts: list[Text], number: int
) -> dict[str, float]:
    """Everything once, one after the other."""
    heard = await stream_round(served, plan.model, texts, number, plan.seconds, multiplex=plan.multiplex)
    row = {
        "streams": number,
        "tokens_per_s": heard.tokens_per_s,
        "first_ms": heard.first_ms(0.5),
        "between_ms": heard.between_ms(0.5),
        "between_p99_ms": heard.between_ms(0.99),
        "batch": heard.counted.mean_batch(plan.model, "step"),
        "server_us": heard.server_us,
        "client_us": heard.client_us,
    }
    for name, loop in rivals.loops.items():
        pace = await asyncio.to_thread(loop.pace, texts, min(number, max_batch(plan)), plan.seconds)
        row[name] = heard.tokens_per_s / pace.with_encodes
        if name == "bare":
            row["bare_steps"] = heard.tokens_per_s / pace.steps_only
    if rivals.echo:
        echoed = await stream_round(rivals.echo, plan.model, texts, number, plan.seconds)
        row["echo"] = heard.tokens_per_s / echoed.tokens_per_s
        if plan.multiplex:
            shared = await stream_round(rivals.echo, plan.model, texts, number, plan.seconds, multiplex=True)
            row["echo_multiplexed"] = heard.tokens_per_s / shared.tokens_per_s
    for name, server in rivals.naive.items():
        row[name] = heard.tokens_per_s / (await naive_round(server, texts, number, plan.seconds)).tokens_per_s
    return row


async def stream_round(
    server: Running, model: str, texts: list[Text], number: int, seconds: float, *, multiplex: bool = False
) -> Round:
    async with AsyncClient(server.address, multiplex=multiplex) as client:
        return await observe(server, stream_clients(client, model, texts, number), seconds)


async def naive_round(server: Running, texts: list[Text], number: int, seconds: float) -> Round:
    async with AsyncExitStack() as stack:
        channel = await stack.enter_async_context(grpc.aio.insecure_channel(server.address))
        return await observe(server, naive_streams(NaiveCalls(channel), texts, number), seconds)


def max_batch(plan: Plan) -> int:
    """Rows of the server's largest batch."""
    if "--max-batch" in plan.server:
        return int(plan.server[plan.server.index("--max-batch") + 1])
    return SchedulerSettings().max_batch


def notes(texts: list[Text], plan: Plan) -> list[str]:
    source = sum(len(text.source) for text in texts) / len(texts)
    target = sum(text.num_tokens for text in texts) / len(texts)
    return [
        f"{len(texts)} texts of {source:.1f} subwords, translations of {target:.1f} tokens on average",
        rounds_note(plan.rounds, plan.seconds),
        "the bare graphs encode each text once and take a step for its end, as the server has to, in batches as large",
    ]


if __name__ == "__main__":
    typer.run(main)
