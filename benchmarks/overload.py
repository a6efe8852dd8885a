"""A server that is asked for more than it can do: `python -m benchmarks.overload`.

First its capacity: what callers who always come back get (a closed loop). Then callers who come when they come, at
shares and multiples of it (an open loop), each with a deadline after which he leaves. Goodput counts what was answered
within its deadline. The callers are in a process of their own, which tells how late it was itself and what it used.
"""

import asyncio
import os
import shlex
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer

from benchmarks import options
from benchmarks.figures import Figure, quantile
from benchmarks.options import QUICK_S, numbers_of
from benchmarks.overload_client import Heard, Order, begin, heard
from benchmarks.overload_load import EXHAUSTED, OK, TURNED_AWAY, Ended
from benchmarks.overload_uses import uses
from benchmarks.processes import Running, running_server
from benchmarks.report import Column, Report, publish, rounds_note

RAMP_S = 1.0
"""How long a load stands before it counts."""
MEBIBYTE = 1024 * 1024

COLUMNS = [
    Column("load", "of capacity", "{:.1f}"),
    Column("offered_per_s", "offered/s"),
    Column("goodput_per_s", "goodput/s", spread=True),
    Column("goodput", "of the peak", "{:.0%}", spread=True),
    Column("answer_ms", "answer, p50 ms"),
    Column("answer_p99_ms", "p99 ms"),
    Column("late", "too late", "{:.1%}"),
    Column("refused", "refused", "{:.0%}"),
    Column("refused_ms", "refusal, p50 ms", "{:.1f}"),
    Column("refused_p99_ms", "p99 ms", "{:.1f}"),
    Column("by_wire", "of them by gRPC", "{:.0%}"),
    Column("server_mib", "server, MiB"),
    Column("server_cores", "server, cores", "{:.2f}"),
    Column("client_cores", "callers, cores", "{:.2f}"),
    Column("client_late_ms", "callers late, p99 ms", "{:.1f}"),
]


def main(
    models: options.Models = Path("models"),
    model: options.Translator = "tatoeba-es-en",
    classifier: options.Classifier = "snips-intents",
    loads: Annotated[str, typer.Option(help="Multiples of the capacity.")] = "0.5,1,2,5,10",
    at_once: Annotated[str, typer.Option(help="Callers at once who show the capacity; the most counts.")] = "32,64",
    rounds: options.Rounds = 3,
    seconds: options.Seconds = 3.0,
    threads: options.Threads = 1,
    server: options.Server = "",
    quick: options.Quick = False,
    out: Annotated[Path | None, typer.Option("--json", help="Write every round as JSON, too.")] = None,
    picture: Annotated[Path | None, typer.Option(help="Draw the curves (extra `pictures`).")] = None,
) -> None:
    """Measure and print a table in Markdown."""
    if quick:
        rounds, seconds, loads, at_once = 1, QUICK_S, "0.5,4", "8"
    multiples = [float(load) for load in loads.split(",")]
    with running_server(models, threads, shlex.split(server)) as served:
        bench = Bench(served, model, classifier, seconds, 0.2 if quick else RAMP_S)
        report = bench.report([bench.round(multiples, numbers_of(at_once), seed) for seed in range(rounds)])
    publish([report], out)
    if picture:
        from benchmarks.overload_picture import draw

        draw(report, picture)
