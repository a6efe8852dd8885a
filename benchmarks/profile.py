"""Where each microsecond of a token goes: `python -m benchmarks.profile`; a table, and with `--svg` a picture.

A sampling profiler (py-spy; `pip install 'seqserve[bench]'`) looks at the server from outside while streams run. It
needs permission: root, or `sysctl kernel.yama.ptrace_scope=0`. What a process takes is what the system says, and how
encoding and steps share the graphs' time is the server's own count; the samples divide the rest.
"""

import asyncio
import re
import shlex
import shutil
import subprocess
import sysconfig
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated

import typer

from benchmarks import options
from benchmarks.figures import Figure
from benchmarks.options import QUICK_S
from benchmarks.picture import bars
from benchmarks.processes import Running, running_server
from benchmarks.report import Column, Report, publish
from benchmarks.streams import stream_round
from benchmarks.window import RAMP_S, Round
from benchmarks.work import Text, newest, num_texts, sentences_of, texts_of
from service.bundle import Bundle

RATE = 400
"""Samples a second; each stands for so much processor time of the thread it was taken of."""

PLACES = {
    "graphs": r"/?onnxruntime/",
    "stacking, splitting": r"service/engine/",
    "scheduler": r"service/scheduler/",
    "decoding, jobs": r"service/tasks/",
    "text": r"service/bundle/|tokenizers",
    "messages": r"service/api/|seqserve/v1/|google/protobuf/",
    "sessions": r"service/sessions/",
    "metrics, log": r"prometheus_client/|service/metrics|structlog",
    "gRPC and event loop": r"grpc/|asyncio/|uvloop|selectors|threading|service/server",
}
"""The innermost frame that one of these knows says what a sample was doing."""

ENCODE, STEP = "graph encode", "graph step"
CORE, CLIENT = "gRPC core, in its own threads", "client"

COLUMNS = [
    Column("what", "what"),
    Column("us", "µs/token", "{:.1f}", spread=True),
    Column("share", "of all", "{:.0%}"),
]


def main(
    models: options.Models = Path("models"),
    model: options.Translator = "tatoeba-es-en",
    texts: options.Texts = None,
    streams: Annotated[int, typer.Option(help="Streams at once.")] = 64,
    rounds: options.Rounds = 3,
    seconds: options.Seconds = 5.0,
    threads: options.Threads = 1,
    server: options.Server = "",
    svg: Annotated[Path | None, typer.Option(help="Draw it there.")] = None,
    quick: options.Quick = False,
    out: options.Out = None,
) -> None:
    """Measure, and print a table in Markdown."""
    if quick:
        rounds, seconds, streams = 1, 5 * QUICK_S, 4
    with running_server(models, threads, shlex.split(server), patient=True) as served:
        bundle = Bundle.read(newest(models, model))
        work = asyncio.run(texts_of(served.address, bundle, sentences_of(texts, num_texts(quick))))
        found = [one_round(served, model, work, streams, seconds) for _ in range(rounds)]
    report = report_of(found, streams, model)
    if svg:
        figures = {str(row["what"]): row["us"].median for row in report.rows if isinstance(row["us"], Figure)}
        svg.write_text(
            bars(f"A token of {model}, {streams} streams at once: µs of processor time", figures), "utf-8"
        )
    publish([report], out)


def one_round(
    served: Running, model: str, texts: list[Text], streams: int, seconds: float
) -> dict[str, float]:
    """Microseconds of processor time for a token, by what they were spent on."""
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder) / "stacks"
        watched_s = max(1, round(RAMP_S + seconds))
        spy = watched(served.process.pid, watched_s, raw)
        heard = asyncio.run(stream_round(served, model, texts, streams, seconds))
        if spy.wait(60) or not raw.exists():
            raise SystemExit(f"py-spy failed: {spy.stderr.read().decode() if spy.stderr else ''}")
        samples = sorted_out(raw.read_text().splitlines())
    return spent(heard, model, {name: number / RATE / watched_s for name, number in samples.items()})


def watched(pid: int, seconds: int, raw: Path) -> "subprocess.Popen[bytes]":
    program = shutil.which("py-spy", path=sysconfig.get_path("scripts")) or shutil.which("py-spy")
    if not program:
        raise SystemExit("py-spy is not installed: pip install 'seqserve[bench]'")
    command = [program, "record", "--pid", str(pid), "--duration", str(seconds)]
    command += ["--rate", str(RATE), "--format", "raw", "--threads", "--nonblocking", "--output", str(raw)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def sorted_out(lines: Iterable[str]) -> Counter[str]:
    """Stacks (`outer;…;inner count`) by what they were doing."""
    counts: Counter[str] = Counter()
    for line in lines:
        stack, _, number = line.rpartition(" ")
        counts[what(stack.split(";"))] += int(number)
    return counts


def what(stack: list[str]) -> str:
    for frame in reversed(stack):
        for name, pattern in PLACES.items():
            if re.search(pattern, frame):
                return name
    return "other"


def spent(heard: Round, model: str, busy: Mapping[str, float]) -> dict[str, float]:
    """Microseconds for a token; `busy` says on what the server's threads were, as shares of the time.

    No more in all than the system says the server took: a thread that waits for a core looks busy, too.
    """
    each = 1e6 / max(heard.num_tokens, 1)
    run_s = {name: heard.counted.run_s(model, graph) for name, graph in ((ENCODE, "encode"), (STEP, "step"))}
    running = sum(run_s.values()) or 1.0
    most = heard.server_cpu_s / (heard.seconds * sum(busy.values()) or 1.0)
    sampled_s = {name: heard.seconds * share * min(1.0, most) for name, share in busy.items()}
    graphs_s = sampled_s.pop("graphs", 0.0)
    found = {name: each * graphs_s * part / running for name, part in run_s.items()}
    found |= {name: each * value for name, value in sorted(sampled_s.items(), key=lambda pair: -pair[1])}
    found[CORE] = max(0.0, heard.server_us - sum(found.values()))
    return found | {CLIENT: heard.client_us}


def report_of(found: list[dict[str, float]], streams: int, model: str) -> Report:
    names = sorted({name for each in found for name in each}, key=lambda name: -found[0].get(name, 0.0))
    totals = [sum(each.values()) for each in found]
    report = Report(f"Where a token's time goes: {model}, {streams} streams", COLUMNS)
    for name in names:
        us = Figure.of(each.get(name, 0.0) for each in found)
        report.rows.append({"what": name, "us": us, "share": us.over(Figure.of(totals))})
    report.rows.append({"what": "all", "us": Figure.of(totals), "share": Figure.of([1.0])})
    report.notes = [f"processor time; medians of {len(found)} rounds; {RATE} samples a second"]
    return report


if __name__ == "__main__":
    typer.run(main)
