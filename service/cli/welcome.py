"""What a server says at its start: what it serves, and what to type next."""

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from service.cli import called, output, version
from service.cli.options import DEFAULT_ADDRESS

if TYPE_CHECKING:
    from service.bundle.manifest import Manifest
    from service.registry import Served
    from service.server import Server

TRY = {
    "classify": "",
    "tag": "",
    "summarize": "",
    "transcribe": "FILE.wav",
    "predict": "FILE.csv",
    "caption": "VECTORS.jsonl",
    "generate": "--max-length {length}",
    "chat": "",
}
"""Task → what to try its command with, before an example; translators have lines of their own."""
LENGTH = 200
"""Tokens, of a text that could go on for long."""
EXAMPLES = {
    ("translate", "es"): '"¿Dónde está la biblioteca?"',
    ("translate", "en"): '"Where is the library?"',
    ("classify", "en"): '"play some jazz on spotify"',
    ("tag", "en"): '"book a table for eight in maldives"',
    ("summarize", "en"): '"The Delhi Metro will be conducting a survey in May, a statement said Friday."',
    ("generate", "es"): '"En un lugar de la Mancha"',
    ("generate", "en"): '"To be, or not to be"',
}
"""Task and language → a text that shows what such a model does. Without one the command asks for a text."""


def welcome(server: "Server") -> None:
    """Tell people where it listens, what it serves and what to type next."""
    from rich.table import Table

    served = server.registry.all()
    rows = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("model", "version", "task", "languages", "size"):
        rows.add_column(title)
    for one in served:
        rows.add_row(*_row(one))
    output.line(
        f"\nseqserve {version.number()} serves {len(served)} models on {server.address} as {_process(server)}\n"
    )
    output.table(rows, ("size", "languages", "version"))
    output.line("\n" + "\n".join(_next_lines(server.address, served)) + "\nCtrl-C ends.\n")


def _process(server: "Server") -> str:
    num = server.settings.server.workers
    return f"process {os.getpid()}" if num == 1 else f"process {os.getppid()}, by {num} workers"


def _row(served: "Served") -> tuple[str, ...]:
    manifest = served.manifest
    languages = " → ".join(filter(None, (manifest.source_language, manifest.target_language)))
    return manifest.name, manifest.version, manifest.task, languages, output.size(served.bundle.size_bytes)


def _next_lines(address: str, served: "list[Served]") -> list[str]:
    """A command for each task, in another terminal."""
    where = "" if address == DEFAULT_ADDRESS else f" --address {address}"
    lines = commands([one.manifest for one in served])
    seqserve = called.name()
    told = [" ".join(filter(None, (f"  {seqserve} {command}{where}", rest))) for command, rest in lines]
    return ["Next, in another terminal:", *told, f"  {seqserve} models{where}"]


def commands(manifests: "list[Manifest]") -> Iterator[tuple[str, str]]:
    """A command and its arguments for each task, which a server of these models can answer."""
    newest = {manifest.name: manifest for manifest in reversed(manifests)}.values()
    translators = [one for one in newest if one.task == "translate"]
    yield from (("translate", line) for line in _translations(translators))
    num_of = Counter(one.task for one in newest)
    tried = set[str]()
    for one in sorted(newest, key=lambda one: one.name):
        if one.task in TRY and one.task not in tried:
            tried.add(one.task)
            which = f"--model {one.name}" if num_of[one.task] > 1 else ""
            how = TRY[one.task].format(length=min(LENGTH, one.limits.max_output_tokens))
            yield one.task, " ".join(filter(None, (which, how, _example(one))))


def _translations(translators: "list[Manifest]") -> Iterator[str]:
    """The first whole text, the first that is written while it comes in, and the first in several languages."""
    whole = sorted(
        (one for one in translators if not one.simultaneous), key=lambda one: (one.measure, one.name)
    )
    pairs = Counter((one.source_language, one.target_language) for one in whole)
    for one in whole[:1]:
        pair = (one.source_language, one.target_language)
        which = f"--from {pair[0]} --to {pair[1]}" if pairs[pair] == 1 else f"--model {one.name}"
        yield f"{which} {_example(one)}".rstrip()
    for one in [one for one in translators if one.simultaneous][:1]:
        yield f"--model {one.name} --live --wait 3 {_example(one)}".rstrip()
    for source, targets in _sharing(whole):
        yield f"--from {source} --to {','.join(targets)} {_text('translate', source)}".rstrip()
        return


def _sharing(translators: "Iterable[Manifest]") -> Iterator[tuple[str, list[str]]]:
    """Languages that one reading of a text is enough for: of each encoder that several models have, by its file."""
    by_encoder: dict[str, list[Manifest]] = {}
    for one in translators:
        lender = one.graphs["encode"].taken_from
        by_encoder.setdefault(lender.model if lender else one.name, []).append(one)
    for sharers in by_encoder.values():
        if len(sharers) > 1:
            yield sharers[0].source_language, [one.target_language for one in sharers]


def _example(manifest: "Manifest") -> str:
    return "library" if manifest.measure == "exact" else _text(manifest.task, manifest.source_language)


def _text(task: str, language: str) -> str:
    return EXAMPLES.get((task, language), "")
