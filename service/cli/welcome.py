"""What a server says at its start: what it serves, and what to type next."""

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from service.cli import output, version
from service.cli.options import DEFAULT_ADDRESS

if TYPE_CHECKING:
    from service.bundle.manifest import Manifest
    from service.registry import Served
    from service.server import Server

TRY = {
    "classify": "--live",
    "tag": "{example}",
    "summarize": "{example}",
    "transcribe": "FILE.wav",
    "predict": "FILE.csv",
    "caption": "VECTORS.jsonl",
    "generate": "{example}",
    "chat": "",
}
"""Task → what to try its command with; translators have lines of their own."""
EXAMPLES = {"es": '"¿Dónde está la biblioteca?"', "en": '"Where is the library?"'}


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
    told = [" ".join(filter(None, (f"  seqserve {command}{where}", rest))) for command, rest in lines]
    return ["Next, in another terminal:", *told, f"  seqserve models{where}"]


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
            example = TRY[one.task].format(example=_example(one))
            yield one.task, " ".join(filter(None, (which, example)))


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
        yield f"--from {source} --to {','.join(targets)} {EXAMPLES.get(source, '')}".rstrip()
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
    return "library" if manifest.measure == "exact" else EXAMPLES.get(manifest.source_language, "")
