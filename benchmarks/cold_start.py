"""From nothing to the first translated token: `python -m benchmarks.cold_start`.

The clock starts when `seqserve serve` is executed and stops when a client, which was there before, has a token. Beside
it, in turns: a process that imports gRPC and ONNX Runtime, loads the translator's two graphs, runs them once and ends.
"""

import asyncio
import shlex
import subprocess
import sys
import time
from pathlib import Path

import typer

from benchmarks import options
from benchmarks.bare import BareLoop
from benchmarks.figures import Figure
from benchmarks.processes import running_server
from benchmarks.report import Column, Report, publish, rounds_note
from benchmarks.work import Text, newest
from service.client import AsyncClient

TEXT = "¿Dónde está la biblioteca?"
COLUMNS = [
    Column("listening_s", "listening, s", "{:.2f}", spread=True),
    Column("token_s", "first token, s", "{:.2f}", spread=True),
    Column("bare_s", "bare process, s", "{:.2f}", spread=True),
    Column("ratio", "of the bare process", "{:.2f}", spread=True),
]


def main(
    models: options.Models = Path("models"),
    model: options.Translator = "tatoeba-es-en",
    rounds: options.Rounds = 5,
    threads: options.Threads = 1,
    server: options.Server = "",
    quick: options.Quick = False,
    out: options.Out = None,
) -> None:
    """Measure and print a table in Markdown."""
    rounds = 1 if quick else rounds
    found = [one_round(models, model, threads, shlex.split(server)) for _ in range(rounds)]
    num_models = len(list(models.glob("*/*/manifest.json")))
    report = Report(f"Cold start, {num_models} models in the repository", COLUMNS)
    row = {key: Figure.of(each[key] for each in found) for key in found[0]}
    report.rows.append(row)
    report.notes = [
        f"{rounds_note(rounds)}; the files are in the system's cache",
        "the bare process imports gRPC and ONNX Runtime, loads the two graphs of the translator and runs each once",
    ]
    publish([report], out)


def one_round(models: Path, model: str, threads: int, server: list[str]) -> dict[str, float]:
    began = time.perf_counter()
    with running_server(models, threads, server) as served:
        listening = time.perf_counter() - began
        asyncio.run(first_token(served.address, model))
        token = time.perf_counter() - began
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "benchmarks.cold_start", "bare", str(newest(models, model))], check=True
    )
    bare = time.perf_counter() - began
    return {"listening_s": listening, "token_s": token, "bare_s": bare, "ratio": token / bare}


async def first_token(address: str, model: str) -> None:
    async with AsyncClient(address) as client, client.stream_translate(TEXT, model=model) as tokens:
        await anext(tokens)


def run_bare(path: Path) -> None:
    """What a process cannot do without."""
    loop = BareLoop(path, 1)
    loop.write(loop.encode([Text(TEXT, (5, 6, 2), 1)]), 1, 1)


if __name__ == "__main__":
    if sys.argv[1:2] == ["bare"]:
        run_bare(Path(sys.argv[2]))
    else:
        typer.run(main)
