"""n sessions, each fed subword by subword, each as soon as the last is answered: `python -m benchmarks.feeds`.

Beside the server, in turns: one that only echoes, the bare graph, the service that people write by hand, and Triton's
sequence batcher with the same graph, where its binary can be started (`--triton PYTHON`, see `benchmarks.triton`).
"""

import asyncio
import shlex
import tempfile
import time
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import grpc
import numpy as np
import typer

from benchmarks import options
from benchmarks.bare import BareLoop
from benchmarks.clients import feeds as library_feeds
from benchmarks.clients import stub_feeds
from benchmarks.figures import Figure
from benchmarks.naive import first_state
from benchmarks.naive_wire import NaiveCalls, naive_feeds
from benchmarks.options import QUICK_S, chosen, numbers_of
from benchmarks.processes import Running, running_module, running_server
from benchmarks.report import Column, Report, publish, rounds_note
from benchmarks.triton import NoTriton, Triton, running_triton
from benchmarks.variants import Precision, write_variant
from benchmarks.window import Round, observe
from benchmarks.work import newest, requests_of
from service.client import AsyncClient

NAIVE: dict[str, Precision] = {"naive fp32": "fp32", "naive int8": "stock int8"}

COLUMNS = [
    Column("sessions", "sessions", "{:.0f}"),
    Column("feeds_per_s", "feeds/s", spread=True),
    Column("echo", "of the echo", "{:.2f}", spread=True),
    Column("echo_multiplexed", "of the echo, multiplexed", "{:.2f}", spread=True),
    Column("bare", "of the bare graph", "{:.2f}"),
    Column("triton", "× Triton", "{:.1f}", spread=True),
    Column("naive fp32", "× naive fp32", "{:.1f}"),
    Column("naive int8", "× naive int8", "{:.1f}"),
    Column("answer_ms", "answer, ms", "{:.2f}"),
    Column("answer_p99_ms", "p99", "{:.2f}"),
    Column("triton_p99_ms", "Triton's p99", "{:.2f}"),
    Column("batch", "mean batch", "{:.1f}"),
    Column("server_us", "server, µs/feed"),
    Column("client_us", "client, µs/feed"),
    Column("bytes", "bytes/session"),
]


def main(
    models: options.Models = Path("models"),
    model: options.Classifier = "snips-intents",
    sessions: options.Numbers = "1,8,64,256",
    rounds: options.Rounds = 3,
    seconds: options.Seconds = 2.0,
    threads: options.Threads = 1,
    run: options.Run = None,
    server: options.Server = "",
    only: options.Only = "",
    triton: Annotated[
        Path | None, typer.Option(help="A Python that has nvidia-pytriton and onnxruntime installed.")
    ] = None,
    stubs: Annotated[
        bool, typer.Option("--stubs", help="Clients by the generated stubs alone, not by the client library.")
    ] = False,
    multiplex: options.Multiplex = False,
    quick: options.Quick = False,
    out: options.Out = None,
) -> None:
    """Measure and print a table in Markdown; --only takes echo, bare, naive, triton."""
    if quick:
        rounds, seconds, sessions = 1, QUICK_S, "4"
    plan = Plan(
        newest(models, model),
        rounds,
        seconds,
        threads,
        run,
        shlex.split(server),
        only,
        triton,
        stubs,
        multiplex,
    )
    publish([asyncio.run(measured(plan, numbers_of(sessions)))], out)


@dataclass(frozen=True)
class Plan:
    """What to measure."""

    bundle: Path
    rounds: int
    seconds: float
    threads: int
    run: Path | None
    server: list[str]
    only: str
    triton: Path | None
    stubs: bool
    multiplex: bool

    @property
    def model(self) -> str:
        return self.bundle.parent.name


@dataclass
class Rivals:
    """What the server is compared with, each ready to run."""

    bare: BareLoop
    echo: Running | None = None
    naive: dict[str, Running] = field(default_factory=dict)
    triton: Triton | None = None


async def measured(plan: Plan, numbers: list[int]) -> Report:
    report = Report(f"Feeds to {plan.model}, {plan.threads} engine thread(s)", COLUMNS)
    with ExitStack() as stack:
        served = stack.enter_context(
            running_server(plan.bundle.parent.parent, plan.threads, plan.server, patient=True)
        )
        rivals = Rivals(BareLoop(plan.bundle, plan.threads))
        by = "the generated stubs" if plan.stubs else "the client library"
        report.notes = [f"a feed is one subword; clients by {by}", rounds_note(plan.rounds, plan.seconds)]
        report.notes += join_rivals(plan, rivals, stack)
        requests = requests_of(rivals.bare.bundle)
        for number in numbers:
            found = [await one_round(plan, served, rivals, requests, number) for _ in range(plan.rounds)]
            row = {key: Figure.of(each[key] for each in found) for key in found[0]}
            report.rows.append(row | {"bytes": Figure.of([await state_bytes(served, plan.model)])})
    return report


def join_rivals(plan: Plan, rivals: Rivals, stack: ExitStack) -> list[str]:
    """Start them; what could not be started, in words."""
    if chosen(plan.only, "echo"):
        labels = ",".join(rivals.bare.bundle.labels)
        rivals.echo = stack.enter_context(running_module("benchmarks.echo", "--labels", labels))
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    for name, precision in NAIVE.items() if chosen(plan.only, "naive") else ():
        bundle = write_variant(plan.bundle, folder / name, precision, plan.run)
        arguments = ["--classifier", str(bundle), "--threads", str(plan.threads)]
        rivals.naive[name] = stack.enter_context(running_module("benchmarks.naive", *arguments))
    if not chosen(plan.only, "triton"):
        return []
    try:
        started = running_triton(plan.triton, rivals.bare.bundle, folder / "triton", plan.threads)
        rivals.triton = stack.enter_context(started)
    except NoTriton as reason:
        return [f"without Triton: {reason}"]
    return [rivals.triton.told]


async def one_round(
    plan: Plan, served: Running, rivals: Rivals, requests: list[list[int]], number: int
) -> dict[str, float]:
    """Everything once, one after the other."""
    heard = await feed_round(plan, served, requests, number, multiplex=plan.multiplex)
    rate = heard.tokens_per_s
    row = {
        "sessions": number,
        "feeds_per_s": rate,
        "answer_ms": heard.between_ms(0.5),
        "answer_p99_ms": heard.between_ms(0.99),
        "batch": heard.counted.mean_batch(plan.model, "classify"),
        "server_us": heard.server_us,
        "client_us": heard.client_us,
    }
    if rivals.echo:
        echoed = await feed_round(plan, rivals.echo, requests, number)
        row["echo"] = rate / echoed.tokens_per_s
        if plan.multiplex:
            shared = await feed_round(plan, rivals.echo, requests, number, multiplex=True)
            row["echo_multiplexed"] = rate / shared.tokens_per_s
    if chosen(plan.only, "bare"):
        row["bare"] = rate / await asyncio.to_thread(bare_rate, rivals.bare, number, plan.seconds / 2)
    for name, server in rivals.naive.items():
        row[name] = rate / (await naive_round(server, requests, number, plan.seconds)).tokens_per_s
    if rivals.triton:
        found = await asyncio.to_thread(rivals.triton.feed, requests, number, plan.seconds)
        row |= {"triton": rate / found.steps_per_s, "triton_p99_ms": found.p99_ms}
    return row


async def feed_round(
    plan: Plan, server: Running, requests: list[list[int]], number: int, *, multiplex: bool = False
) -> Round:
    if plan.stubs:
        async with grpc.aio.insecure_channel(server.address) as channel:
            return await observe(server, stub_feeds(channel, plan.model, requests, number), plan.seconds)
    async with AsyncClient(server.address, multiplex=multiplex) as client:
        return await observe(server, library_feeds(client, plan.model, requests, number), plan.seconds)


async def naive_round(server: Running, requests: list[list[int]], number: int, seconds: float) -> Round:
    async with AsyncExitStack() as stack:
        channel = await stack.enter_async_context(grpc.aio.insecure_channel(server.address))
        return await observe(server, naive_feeds(NaiveCalls(channel), requests, number), seconds)


def bare_rate(loop: BareLoop, batch: int, seconds: float) -> float:
    """Subwords a second, a full batch of one subword each time."""
    state = {name: np.repeat(array, batch, axis=0) for name, array in first_state(loop).items()}
    given = {"tokens": np.full((batch, 1), 7), "lengths": np.ones(batch, np.int64)}
    began, num_steps = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        state = loop.run("classify", state | given)
        num_steps += 1
    return num_steps * batch / (time.perf_counter() - began)


async def state_bytes(server: Running, model: str) -> float:
    """What the server says a session of this model holds, once it has been fed."""
    async with AsyncClient(server.address) as client, client.session(model=model) as session:
        await session.feed_ids([7])
        [found] = [one for one in await client.sessions() if one.session_id == session.session_id]
        return float(found.state_bytes)


if __name__ == "__main__":
    typer.run(main)
