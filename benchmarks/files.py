"""A whole file through the server, beside CTranslate2 with int8 weights: `python -m benchmarks.files`.

Our side is all of it: the client reads lines, the server makes subwords, encodes, writes, and the client has the text.
CTranslate2 is given subwords, sorted and in full batches, in the process that measures; its model is a Transformer (6
layers read, 2 write, width 256) with random weights, whose outputs are made as long as ours. Tokens of output count on
both sides.
"""

import asyncio
import os
import shlex
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmarks import options
from benchmarks.bare import BareLoop
from benchmarks.figures import Figure
from benchmarks.machine import has_avx512
from benchmarks.processes import Running, own_cpu_s, running_server
from benchmarks.report import Column, Report, publish, rounds_note
from benchmarks.work import Text, newest, sentences_of, texts_of
from service.client import AsyncClient

if TYPE_CHECKING:
    from benchmarks.transformer import Transformer

MAX_BATCH = 64

COLUMNS = [
    Column("threads", "engine threads", "{:.0f}"),
    Column("tokens_per_s", "tokens/s", spread=True),
    Column("rival_per_s", "CTranslate2, tokens/s", spread=True),
    Column("rival", "of CTranslate2", "{:.2f}", spread=True),
    Column("rival_2_per_s", "CTranslate2, all cores", spread=True),
    Column("rival_2", "of that", "{:.2f}"),
    Column("bare", "of the bare graphs", "{:.2f}"),
    Column("server_cores", "server, cores", "{:.2f}"),
    Column("client_cores", "client, cores", "{:.2f}"),
]


def main(
    models: options.Models = Path("models"),
    model: options.Translator = "tatoeba-es-en",
    texts: options.Texts = None,
    number: Annotated[
        int, typer.Option(help="Lines of the file; a shorter one is gone through again.")
    ] = 2000,
    rounds: options.Rounds = 3,
    threads: options.Threads = 1,
    all_cores: Annotated[int, typer.Option(help="Threads of CTranslate2 where it may have all.")] = 2,
    server: options.Server = "",
    quick: options.Quick = False,
    out: options.Out = None,
) -> None:
    """Measure and print a table in Markdown."""
    if quick:
        rounds, number = 1, 64
    if has_avx512():  # which it does not choose by itself on every processor that has it
        os.environ.setdefault("CT2_FORCE_CPU_ISA", "AVX512")
    from benchmarks.transformer import Transformer

    path, report = newest(models, model), Report(f"A file of {number} lines through {model}", COLUMNS)
    with ExitStack() as stack:
        served = stack.enter_context(running_server(models, threads, shlex.split(server)))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        bare = BareLoop(path, threads)
        lines = asyncio.run(texts_of(served.address, bare.bundle, sentences_of(texts, number)))
        rivals = [Transformer(folder / str(n), bare.bundle.tokenizer.size, n) for n in (threads, all_cores)]
        found = [one_round(served, model, lines, bare, rivals) for _ in range(rounds)]
    row = {key: Figure.of(each[key] for each in found) for key in found[0]}
    report.rows.append({"threads": Figure.of([threads]), **row})
    report.notes = [
        __doc__.split("\n\n")[1].replace("\n", " ").strip(),
        rounds_note(rounds),
    ]
    publish([report], out)


def one_round(
    served: Running, model: str, lines: list[Text], bare: BareLoop, rivals: "list[Transformer]"
) -> dict[str, float]:
    """Everything once, one after the other."""
    cpu, own, began = served.cpu_s(), own_cpu_s(), time.perf_counter()
    num_tokens = asyncio.run(translated(served.address, model, lines))
    took = time.perf_counter() - began
    row = {
        "tokens_per_s": num_tokens / took,
        "server_cores": (served.cpu_s() - cpu) / took,
        "client_cores": (own_cpu_s() - own) / took,
    }
    for name, rival in zip(("rival", "rival_2"), rivals, strict=True):
        row[f"{name}_per_s"] = rival.tokens_per_s(lines)
        row[name] = row["tokens_per_s"] / row[f"{name}_per_s"]
    row["bare"] = row["tokens_per_s"] / bare.pace(lines, min(MAX_BATCH, len(lines)), took).with_encodes
    return row


async def translated(address: str, model: str, lines: list[Text]) -> int:
    """Tokens of the translations of all lines, which the client asks for as `seqserve translate --file` does."""
    async with AsyncClient(address) as client:
        found = client.translate_many((line.text for line in lines), model=model, beam_size=1)
        return sum([len(translation.tokens) async for translation in found])


if __name__ == "__main__":
    typer.run(main)
