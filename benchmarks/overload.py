"""A server that is asked for more than it can do: `python -m benchmarks.overload`.

First its capacity: what callers who always come back get (a closed loop). Then callers who come when they come, at
shares and multiples of it (an open loop), each with a deadline after which he leaves. Goodput counts what was answered
within its deadline. The callers are in a process of their own, which tells how late it was itself and what it used.

On a network callers have machines of their own. So the server gets one half of the cores and the callers the other,
unless told otherwise: what callers use is then not taken from the server, in the closed loop as little as at ten times
the capacity.
"""

import shlex
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from benchmarks import options
from benchmarks.figures import Figure, quantile
from benchmarks.options import QUICK_S, numbers_of
from benchmarks.overload_client import Heard, Order, begin, heard
from benchmarks.overload_cores import Busy, Cores, running_on
from benchmarks.overload_load import HELD, OK, REFUSALS, TURNED_AWAY, Ended
from benchmarks.overload_uses import uses
from benchmarks.processes import Running, resident_bytes, running_server
from benchmarks.report import Column, Report, publish, rounds_note
from service.client import HoldingBack
from service.client.throttle import USUAL

RAMP_S = 1.0
"""How long a load stands before it counts."""
ATTEMPTS = 10
"""How often the capacity is looked for."""
MEBIBYTE = 1024 * 1024

COLUMNS = [
    Column("load", "of capacity", "{:.1f}"),
    Column("offered_per_s", "offered/s"),
    Column("held", "held back", "{:.0%}"),
    Column("sent_per_s", "sent/s"),
    Column("goodput_per_s", "goodput/s", spread=True),
    Column("goodput", "of the peak", "{:.0%}", spread=True),
    Column("answer_ms", "answer, p50 ms"),
    Column("answer_p99_ms", "p99 ms"),
    Column("late", "too late", "{:.1%}"),
    Column("refused", "refused", "{:.0%}"),
    Column("refused_ms", "refusal, p50 ms", "{:.1f}"),
    Column("refused_p99_ms", "p99 ms", "{:.1f}"),
    Column("refused_there", "refused by the server/s"),
    Column("refused_there_ms", "those, p50 ms", "{:.1f}"),
    Column("refused_there_p99_ms", "p99 ms", "{:.1f}"),
    Column("by_wire", "of them by gRPC", "{:.0%}"),
    Column("server_mib", "server, MiB"),
    Column("server_cores", "server, cores", "{:.2f}"),
    Column("client_cores", "callers, cores", "{:.2f}"),
    Column("server_busy", "server's cores, busy", "{:.0%}"),
    Column("client_busy", "callers'", "{:.0%}"),
    Column("client_late_ms", "callers late, p99 ms", "{:.1f}"),
]


def main(
    models: options.Models = Path("models"),
    model: options.Translator = "tatoeba-es-en",
    classifier: options.Classifier = "snips-intents",
    sentences: Annotated[int, typer.Option(min=1, help="In a call that translates.")] = 1,
    loads: Annotated[str, typer.Option(help="Multiples of the capacity.")] = "0.5,1,2,5,10",
    at_once: Annotated[
        str, typer.Option(help="Callers at once who show the capacity; the most counts.")
    ] = "32,64",
    rounds: options.Rounds = 3,
    seconds: options.Seconds = 3.0,
    threads: options.Threads = 1,
    server: options.Server = "",
    apart: Annotated[
        bool, typer.Option("--apart/--together", help="Half of the cores for each, or all for both.")
    ] = True,
    holding_back: Annotated[
        bool,
        typer.Option("--holding-back", help="Each load again, by callers who hold back as our clients do."),
    ] = False,
    quick: options.Quick = False,
    out: Annotated[Path | None, typer.Option("--json", help="Write every round as JSON, too.")] = None,
    picture: Annotated[Path | None, typer.Option(help="Draw the curves (extra `pictures`).")] = None,
) -> None:
    """Measure and print a table in Markdown."""
    if quick:
        rounds, seconds, loads, at_once = 1, QUICK_S, "0.5,4", "8"
    multiples = [float(load) for load in loads.split(",")]
    cores = Cores.of_machine(apart=apart)
    with running_on(cores.server), running_server(models, threads, shlex.split(server)) as served:
        bench = Bench(served, cores, model, classifier, sentences, seconds, 0.2 if quick else RAMP_S)
        with running_on(cores.callers):
            held = [None, USUAL] if holding_back else [None]
            found = [bench.round(multiples, numbers_of(at_once), held, seed) for seed in range(rounds)]
    report, *others = [
        bench.report(rows, each) for rows, each in zip(zip(*found, strict=True), held, strict=True)
    ]
    publish([report, *others], out)
    if picture:
        from benchmarks.overload_picture import draw

        draw(report, picture)


@dataclass
class Bench:
    """Loads, one after the other, on one server."""

    served: Running
    cores: Cores
    translator: str
    classifier: str
    sentences: int
    seconds: float
    ramp_s: float

    def round(
        self, multiples: list[float], at_once: list[int], held: Sequence[HoldingBack | None], seed: int
    ) -> list[list[dict[str, float]]]:
        """The capacity, then each load, by callers of each kind in turn: the rows of each; the first is the capacity's.

        The peak is the same for all: what callers got who send all.
        """
        best = self.capacity(at_once, seed)
        capacity = best["goodput_per_s"]
        found: list[list[dict[str, float]]] = [[best] for _ in held]
        for times in multiples:
            for rows, each in zip(found, held, strict=True):
                per_s = max(1.0, times * capacity)
                rows.append(self.load(per_s=per_s, seed=seed, held=each) | {"load": times})
        peak = max(row["goodput_per_s"] for row in found[0])
        return [[row | {"goodput": row["goodput_per_s"] / peak} for row in rows] for rows in found]

    def capacity(self, at_once: list[int], seed: int) -> dict[str, float]:
        """The closed loop that gets most done; once more where nobody is answered in time, as a window can be short.

        Raises RuntimeError where nobody ever is.
        """
        for _ in range(ATTEMPTS):
            closed = [self.load(at_once=number, seed=seed) for number in at_once]
            best = max(closed, key=lambda row: row["goodput_per_s"])
            if best["goodput_per_s"]:
                return best | {"load": 0.0}
        raise RuntimeError(
            f"nobody was answered in time, {ATTEMPTS} times: there is no capacity to reckon with"
        )

    def load(
        self, *, per_s: float = 0.0, at_once: int = 0, seed: int = 0, held: HoldingBack | None = None
    ) -> dict[str, float]:
        order = Order(
            self.served.address,
            self.translator,
            self.classifier,
            self.sentences,
            self.ramp_s + self.seconds,
            per_s,
            at_once,
            seed,
            held,
        )
        cpu, began, busy = self.served.cpu_s(), time.perf_counter(), Busy()
        with memory_of(self.served.process.pid) as highest:
            found = heard(begin(order))
        took = time.perf_counter() - began
        row = self.row(found)
        if held:
            row |= self.held_row(found)
        return row | {
            "offered_per_s": per_s or len(found.ended) / order.seconds,
            "server_mib": highest[0] / MEBIBYTE,
            "server_cores": (self.served.cpu_s() - cpu) / took,
            "client_cores": found.cpu_s / order.seconds,
            "server_busy": busy.share(self.cores.server),
            "client_busy": busy.share(self.cores.callers),
        }

    def row(self, found: Heard) -> dict[str, float]:
        """What became of the calls."""
        ended = self.counted(found)
        good = [each.ended - each.due for each in ended if each.code == OK]
        refused = [each for each in ended if each.code in REFUSALS]
        waits = [each.ended - each.sent for each in refused]
        by_wire = sum(each.code == TURNED_AWAY for each in refused)
        num_there = sum(each.code != HELD for each in refused)
        return {
            "goodput_per_s": len(good) / self.seconds,
            "answer_ms": 1e3 * quantile(good, 0.5),
            "answer_p99_ms": 1e3 * quantile(good, 0.99),
            "late": (len(ended) - len(good) - len(refused)) / max(len(ended), 1),
            "refused": len(refused) / max(len(ended), 1),
            "refused_ms": 1e3 * quantile(waits, 0.5),
            "refused_p99_ms": 1e3 * quantile(waits, 0.99),
            "by_wire": by_wire / max(num_there, 1),
            "client_late_ms": 1e3 * quantile([each.sent - each.due for each in ended], 0.99),
            **{f"good {name}": num / self.seconds for name, num in self.by_use(ended).items()},
        }

    def held_row(self, found: Heard) -> dict[str, float]:
        """What callers who hold back sent, and how the server refused it."""
        sent = [each for each in self.counted(found) if each.code != HELD]
        refused = [each.ended - each.sent for each in sent if each.code in REFUSALS]
        return {
            "held": 1 - len(sent) / max(len(self.counted(found)), 1),
            "sent_per_s": len(sent) / self.seconds,
            "refused_there": len(refused) / self.seconds,
            "refused_there_ms": 1e3 * quantile(refused, 0.5),
            "refused_there_p99_ms": 1e3 * quantile(refused, 0.99),
        }

    def counted(self, found: Heard) -> list[Ended]:
        """What ended while the load stood."""
        until = self.ramp_s + self.seconds
        return [each for each in found.ended if self.ramp_s <= each.ended <= until]

    def by_use(self, ended: list[Ended]) -> dict[str, int]:
        names = [use.name for use in uses(self.translator, self.classifier)]
        return {
            name: sum(each.code == OK and each.use == at for each in ended) for at, name in enumerate(names)
        }

    def report(self, rounds: Sequence[list[dict[str, float]]], held: HoldingBack | None) -> Report:
        """The medians of the rounds, load by load."""
        title = f"Overload: {self.translator} and {self.classifier}, every caller with a deadline"
        title += ", who holds back" if held else ""
        report = Report(title, COLUMNS)
        for rows in zip(*rounds, strict=True):
            report.rows.append({key: Figure.of(row[key] for row in rows) for key in rows[0]})
        of_held = [f"each connection holds back as a client of its own: {held}; peak: of who does not"]
        mix = ", ".join(
            f"{use.name} {use.share:.0%} within {use.deadline_s:g} s"
            for use in uses(self.translator, self.classifier)
        )
        report.notes = [
            f"calls: {mix}; sentences in a translation: {self.sentences}",
            f"{self.cores}; busy: with whatever ran there, the kernel too",
            "the first row is the closed loop that shows the capacity; the others come when they come (Poisson)",
            "too late: left at the deadline; refused: RESOURCE_EXHAUSTED, or, by gRPC itself, CANCELLED",
            *(of_held if held else []),
            rounds_note(len(rounds), self.seconds),
        ]
        return report


@contextmanager
def memory_of(pid: int) -> Iterator[list[int]]:
    """The most memory that a process has while inside, in bytes: the one number in the list."""
    highest, over = [resident_bytes(pid)], threading.Event()

    def watch() -> None:
        while not over.wait(0.1):
            highest[0] = max(highest[0], resident_bytes(pid))

    watching = threading.Thread(target=watch, daemon=True)
    watching.start()
    try:
        yield highest
    finally:
        over.set()
        watching.join()


if __name__ == "__main__":
    typer.run(main)
