"""Bursts of whole texts, a unary request each; the next burst when all are answered: `python -m benchmarks.bursts`."""

import asyncio
import shlex
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path

import grpc
import typer

from benchmarks import options
from benchmarks.bare import BareLoop
from benchmarks.clients import bursts as burst_clients
from benchmarks.figures import Figure
from benchmarks.naive_wire import NaiveCalls, naive_bursts
from benchmarks.options import QUICK_S, numbers_of
from benchmarks.processes import Running, running_server
from benchmarks.report import Column, Report, publish
from benchmarks.streams import Plan, Rivals, max_batch, notes, rivals_of
from benchmarks.window import Round, observe
from benchmarks.work import Text, num_texts, sentences_of, texts_of
from service.client import AsyncClient

COLUMNS = [
    Column("texts", "texts at once", "{:.0f}"),
    Column("tokens_per_s", "tokens/s", spread=True),
    Column("bare", "of the bare graphs", "{:.2f}", spread=True),
    Column("echo", "of the echo", "{:.2f}"),
    Column("eager", "× PyTorch", "{:.1f}"),
    Column("naive fp32", "× naive fp32", "{:.1f}"),
    Column("naive int8", "× naive int8", "{:.1f}"),
    Column("naive row-wise int8", "× naive row-wise int8", "{:.1f}"),
    Column("answer_ms", "answer, ms"),
    Column("answer_p99_ms", "p99"),
    Column("batch", "mean batch", "{:.1f}"),
    Column("server_us", "server, µs/token"),
    Column("client_us", "client, µs/token"),
]


def main(
    models: options.Models = Path("models"),
    model: options.Translator = "tatoeba-es-en",
    texts: options.Texts = None,
    at_once: options.Numbers = "1,8,64,256",
    rounds: options.Rounds = 3,
    seconds: options.Seconds = 2.0,
    threads: options.Threads = 1,
    run: options.Run = None,
    server: options.Server = "",
    only: options.Only = "",
    quick: options.Quick = False,
    out: options.Out = None,
) -> None:
    """Measure and print a table in Markdown; --only takes bare, eager, echo, naive."""
    if quick:
        rounds, seconds, at_once = 1, QUICK_S, "4"
    plan = Plan(models, model, rounds, seconds, threads, run, shlex.split(server), only)
    publish([asyncio.run(measured(plan, sentences_of(texts, num_texts(quick)), numbers_of(at_once)))], out)


async def measured(plan: Plan, sentences: list[str], numbers: list[int]) -> Report:
    report = Report(f"Bursts of whole texts to {plan.model}, {plan.threads} engine thread(s)", COLUMNS)
    with ExitStack() as stack:
        served = stack.enter_context(running_server(plan.models, plan.threads, plan.server, patient=True))
        bare = BareLoop(plan.bundle, plan.threads)
        texts = await texts_of(served.address, bare.bundle, sentences)
        rivals = rivals_of(plan, bare, texts, stack)
        for number in numbers:
            found = [await one_round(plan, served, rivals, texts, number) for _ in range(plan.rounds)]
            report.rows.append({key: Figure.of(each[key] for each in found) for key in found[0]})
    report.notes = notes(texts, plan)
    return report


async def one_round(
    plan: Plan, served: Running, rivals: Rivals, texts: list[Text], number: int
) -> dict[str, float]:
    """Everything once, one after the other."""
    heard = await burst_round(served, plan.model, texts, number, plan.seconds)
    row = {
        "texts": number,
        "tokens_per_s": heard.tokens_per_s,
        "answer_ms": heard.first_ms(0.5),
        "answer_p99_ms": heard.first_ms(0.99),
        "batch": heard.counted.mean_batch(plan.model, "step"),
        "server_us": heard.server_us,
        "client_us": heard.client_us,
    }
    for name, loop in rivals.loops.items():
        pace = await asyncio.to_thread(loop.pace, texts, min(number, max_batch(plan)), plan.seconds)
        row[name] = heard.tokens_per_s / pace.with_encodes
    if rivals.echo:
        echoed = await burst_round(rivals.echo, plan.model, texts, number, plan.seconds)
        row["echo"] = heard.tokens_per_s / echoed.tokens_per_s
    for name, server in rivals.naive.items():
        row[name] = heard.tokens_per_s / (await naive_round(server, texts, number, plan.seconds)).tokens_per_s
    return row


async def burst_round(server: Running, model: str, texts: list[Text], number: int, seconds: float) -> Round:
    async with AsyncClient(server.address) as client:
        return await observe(server, [burst_clients(client, model, texts, number)], seconds)


async def naive_round(server: Running, texts: list[Text], number: int, seconds: float) -> Round:
    async with AsyncExitStack() as stack:
        channel = await stack.enter_async_context(grpc.aio.insecure_channel(server.address))
        return await observe(server, [naive_bursts(NaiveCalls(channel), texts, number)], seconds)


if __name__ == "__main__":
    typer.run(main)
