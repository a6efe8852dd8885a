"""Streams, feeds and bursts at once on one server, each beside itself alone: `python -m benchmarks.mixed`."""

import asyncio
import shlex
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Annotated

import typer

from benchmarks import options
from benchmarks.clients import bursts, feeds, streams
from benchmarks.figures import Figure
from benchmarks.options import QUICK_S
from benchmarks.processes import Running, running_server
from benchmarks.report import Column, Report, publish, rounds_note
from benchmarks.window import Client, Round, observe
from benchmarks.work import newest, num_texts, requests_of, sentences_of, texts_of
from service.bundle import Bundle
from service.client import AsyncClient

COLUMNS = [
    Column("what", "what"),
    Column("alone_per_s", "alone, tokens/s", spread=True),
    Column("mixed_per_s", "together, tokens/s", spread=True),
    Column("share", "of alone", "{:.2f}", spread=True),
    Column("alone_p99_ms", "alone, p99 ms", "{:.1f}"),
    Column("mixed_p99_ms", "together, p99 ms", "{:.1f}"),
]

Loads = dict[str, Callable[[], list[Client]]]


def main(
    models: options.Models = Path("models"),
    translator: options.Translator = "tatoeba-es-en",
    classifier: options.Classifier = "snips-intents",
    texts: options.Texts = None,
    number: Annotated[int, typer.Option(help="Streams, and sessions; a burst has a quarter of it.")] = 32,
    rounds: options.Rounds = 3,
    seconds: options.Seconds = 2.0,
    threads: options.Threads = 1,
    server: options.Server = "",
    quick: options.Quick = False,
    out: options.Out = None,
) -> None:
    """Measure and print a table in Markdown."""
    if quick:
        rounds, seconds, number = 1, QUICK_S, 4
    with running_server(models, threads, shlex.split(server), patient=True) as served:
        measuring = measured(
            served,
            models,
            translator,
            classifier,
            sentences_of(texts, num_texts(quick)),
            number,
            rounds,
            seconds,
        )
        publish([asyncio.run(measuring)], out)


async def measured(
    served: Running,
    models: Path,
    translator: str,
    classifier: str,
    sentences: list[str],
    number: int,
    rounds: int,
    seconds: float,
) -> Report:
    texts = await texts_of(served.address, Bundle.read(newest(models, translator)), sentences)
    requests = requests_of(Bundle.read(newest(models, classifier)))
    report = Report(f"{number} streams, {number} fed sessions, bursts of {number // 4} texts", COLUMNS)
    async with AsyncExitStack() as stack:
        own = [await stack.enter_async_context(AsyncClient(served.address)) for _ in range(3)]
        loads: Loads = {
            "streams": lambda: streams(own[0], translator, texts, number),
            "feeds": lambda: feeds(own[1], classifier, requests, number),
            "bursts": lambda: [bursts(own[2], translator, texts, max(1, number // 4))],
        }
        found = [await one_round(served, loads, seconds) for _ in range(rounds)]
    for what in loads:
        row = {key: Figure.of(each[what][key] for each in found) for key in found[0][what]}
        report.rows.append({"what": what, **row})
    shares = Figure.of(sum(row["share"] for row in each.values()) for each in found)
    report.notes = [
        f"the three shares add up to {shares.median:.2f} ({shares.low:.2f}–{shares.high:.2f}): above 1, sharing gains",
        "p99: between tokens of a stream, from feed to answer, from request to whole text",
        rounds_note(rounds, seconds),
    ]
    return report


async def one_round(served: Running, loads: Loads, seconds: float) -> dict[str, dict[str, float]]:
    alone = {what: await observe(served, clients(), seconds) for what, clients in loads.items()}
    together = await together_for(served, loads, seconds)
    return {
        what: {
            "alone_per_s": alone[what].tokens_per_s,
            "mixed_per_s": together[what].tokens_per_s,
            "share": together[what].tokens_per_s / alone[what].tokens_per_s,
            "alone_p99_ms": p99_ms(alone[what]),
            "mixed_p99_ms": p99_ms(together[what]),
        }
        for what in loads
    }


async def together_for(served: Running, loads: Loads, seconds: float) -> dict[str, Round]:
    """All of them in the same stretch of time, each with a window of its own."""
    rounds = await asyncio.gather(*(observe(served, clients(), seconds) for clients in loads.values()))
    return dict(zip(loads, rounds, strict=True))


def p99_ms(heard: Round) -> float:
    return heard.between_ms(0.99) if heard.between_s else heard.first_ms(0.99)


if __name__ == "__main__":
    typer.run(main)
