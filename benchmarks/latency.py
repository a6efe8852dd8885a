"""Latency where streams begin at random, at shares of the measured capacity: `python -m benchmarks.latency`.

The capacity is what as many streams at once as `--streams` get in the same round. A request's time counts from the
moment at which it was due, also where the clients were late themselves.
"""

import asyncio
import shlex
from pathlib import Path
from typing import Annotated

import typer

from benchmarks import options
from benchmarks.clients import arrivals
from benchmarks.figures import Figure
from benchmarks.options import QUICK_S
from benchmarks.processes import Running, running_server
from benchmarks.report import Column, Report, publish, rounds_note
from benchmarks.streams import stream_round
from benchmarks.window import observe
from benchmarks.work import Text, newest, num_texts, sentences_of, texts_of
from service.bundle import Bundle
from service.client import AsyncClient

COLUMNS = [
    Column("load", "of capacity", "{:.0%}"),
    Column("arrivals_per_s", "arrivals/s"),
    Column("tokens_per_s", "tokens/s", spread=True),
    Column("first_ms", "first token, ms", "{:.1f}"),
    Column("first_p99_ms", "p99", "{:.1f}", spread=True),
    Column("first_steps", "p99 in step times", "{:.1f}", spread=True),
    Column("between_ms", "between tokens, ms", "{:.2f}"),
    Column("between_mean_ms", "mean", "{:.2f}"),
    Column("between_p99_ms", "p99", "{:.2f}", spread=True),
    Column("between_ratio", "p99 / median", "{:.1f}", spread=True),
    Column("step_ms", "step, ms", "{:.2f}"),
    Column("batch", "mean batch", "{:.1f}"),
]


def main(
    models: options.Models = Path("models"),
    model: options.Translator = "tatoeba-es-en",
    texts: options.Texts = None,
    loads: Annotated[str, typer.Option(help="Shares of the capacity.")] = "0.5,0.8",
    streams: Annotated[int, typer.Option(help="Streams at once that show the capacity.")] = 64,
    rounds: options.Rounds = 3,
    seconds: options.Seconds = 6.0,
    threads: options.Threads = 1,
    server: options.Server = "",
    multiplex: options.Multiplex = False,
    quick: options.Quick = False,
    out: options.Out = None,
) -> None:
    """Measure and print a table in Markdown."""
    if quick:
        rounds, seconds, streams = 1, QUICK_S, 4
    shares = [float(share) for share in loads.split(",")]
    with running_server(models, threads, shlex.split(server), patient=True) as served:
        bundle = Bundle.read(newest(models, model))
        measuring = measured(
            served, bundle, sentences_of(texts, num_texts(quick)), shares, streams, rounds, seconds, multiplex
        )
        publish([asyncio.run(measuring)], out)


async def measured(
    served: Running,
    bundle: Bundle,
    sentences: list[str],
    shares: list[float],
    streams: int,
    rounds: int,
    seconds: float,
    multiplex: bool,
) -> Report:
    model = bundle.manifest.name
    texts = await texts_of(served.address, bundle, sentences)
    length = sum(text.num_tokens for text in texts) / len(texts)
    found: dict[float, list[dict[str, float]]] = {share: [] for share in shares}
    capacities = []
    for seed in range(rounds):
        capacity = (
            await stream_round(served, model, texts, streams, seconds / 3, multiplex=multiplex)
        ).tokens_per_s
        capacities.append(capacity)
        for share in shares:
            per_s = share * capacity / length
            row = await one_load(served, model, texts, per_s, seconds, seed, multiplex)
            found[share].append(row | {"load": share, "arrivals_per_s": per_s})
    report = Report(f"Poisson arrivals of translation streams at {model}", COLUMNS)
    report.rows = [{key: Figure.of(row[key] for row in rows) for key in rows[0]} for rows in found.values()]
    capacity_ = Figure.of(capacities)
    report.notes = [
        f"capacity: {capacity_.median:,.0f} tokens/s with {streams} streams at once, each round's own",
        "step: the mean time of a batch of the graph `step` under this load, by the server's own count",
        rounds_note(rounds, seconds),
    ]
    return report


async def one_load(
    served: Running, model: str, texts: list[Text], per_s: float, seconds: float, seed: int, multiplex: bool
) -> dict[str, float]:
    async with AsyncClient(served.address, multiplex=multiplex) as client:
        heard = await observe(served, [arrivals(client, model, texts, per_s, seed)], seconds)
    step_ms = 1e3 * heard.counted.mean_run_s(model, "step")
    return {
        "tokens_per_s": heard.tokens_per_s,
        "first_ms": heard.first_ms(0.5),
        "first_p99_ms": heard.first_ms(0.99),
        "first_steps": heard.first_ms(0.99) / step_ms if step_ms else 0.0,
        "between_ms": heard.between_ms(0.5),
        "between_mean_ms": 1e3 * sum(heard.between_s) / max(len(heard.between_s), 1),
        "between_p99_ms": heard.between_ms(0.99),
        "between_ratio": heard.between_ms(0.99) / max(heard.between_ms(0.5), 1e-3),
        "step_ms": step_ms,
        "batch": heard.counted.mean_batch(model, "step"),
    }


if __name__ == "__main__":
    typer.run(main)
