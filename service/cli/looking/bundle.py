"""A bundle as tables: what it is, its graphs, what a session of it takes, how it scores."""

import re
from collections.abc import Iterator
from math import prod
from typing import TYPE_CHECKING, Any

from service.bundle import Bundle
from service.bundle.manifest import GraphSpec, Manifest, TensorSpec
from service.cli import output

if TYPE_CHECKING:
    from rich.table import Table

SCORES = re.compile(r"^## Scores\n+(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
CARD = "README.md"


def tables(bundle: Bundle) -> "Iterator[Table]":
    """One after the other."""
    yield _facts(bundle)
    for name, graph in bundle.manifest.graphs.items():
        yield _graph(bundle, name, graph)


def as_json(bundle: Bundle) -> dict[str, Any]:
    """All that the tables say, for machines."""
    manifest = bundle.manifest
    return {
        **manifest.model_dump(mode="json"),
        "size_bytes": bundle.size_bytes,
        "state_bytes": state_bytes(manifest),
        "context_bytes_per_input": context_bytes(manifest),
    }


def scores(bundle: Bundle) -> str:
    """What its card says of scores; empty where it says nothing."""
    card = bundle.path / CARD
    found = SCORES.search(card.read_text("utf-8", "replace")) if card.is_file() else None
    return found[1].strip() if found else ""


def state_bytes(manifest: Manifest) -> int:
    """What a session carries from step to step."""
    states = {t.name: t for graph in manifest.graphs.values() for t in graph.outputs if t.role == "state"}
    return sum(_fixed_bytes(tensor) for tensor in states.values())


def context_bytes(manifest: Manifest) -> int:
    """What a session keeps of each input that it has read."""
    contexts = {t.name: t for graph in manifest.graphs.values() for t in graph.outputs if t.role == "context"}
    return sum(_fixed_bytes(t) for t in contexts.values() if any(isinstance(a, str) for a in t.axes[1:]))


def _fixed_bytes(tensor: TensorSpec) -> int:
    width = {"float32": 4, "int64": 8}[tensor.dtype]
    return width * prod(axis for axis in tensor.axes if isinstance(axis, int))


def _facts(bundle: Bundle) -> "Table":
    from rich.table import Table

    rows = Table.grid(padding=(0, 2))
    for title, value in _lines(bundle):
        if value:
            rows.add_row(title, value)
    return rows


def _lines(bundle: Bundle) -> Iterator[tuple[str, str]]:
    manifest = bundle.manifest
    languages = " → ".join(filter(None, (manifest.source_language, manifest.target_language)))
    each = context_bytes(manifest)
    kept = f", and {output.size(each)} for each input read" if each else ""
    yield "model", f"{manifest.name} {manifest.version}: {manifest.task} {languages}".rstrip()
    yield "description", " ".join(manifest.description.split())
    yield "parameters", f"{manifest.num_parameters:,}, {manifest.precision}"
    yield "on disk", output.size(bundle.size_bytes)
    yield "vocabulary", f"{bundle.vocabulary_size:,} tokens" if bundle.vocabulary_size else ""
    yield "labels", ", ".join(bundle.labels)
    yield "session", "yes" if manifest.streams else f"no: {manifest.why_not_streaming}"
    yield "state", f"{output.size(state_bytes(manifest))} a session{kept}"
    yield "to look at", ", ".join(_traces(manifest))


def _traces(manifest: Manifest) -> list[str]:
    from service.tasks.look import names_of

    return [name for graph in manifest.graphs.values() for name in names_of(graph)]


def _graph(bundle: Bundle, name: str, graph: GraphSpec) -> "Table":
    from rich.table import Table

    size = len(bundle.read_graph(name))
    table = Table(title=f"{name}  {graph.file}, {output.size(size)}", title_justify="left", box=None)
    for column in ("", "tensor", "role", "type", "shape"):
        table.add_column(column)
    for side, tensors in (("in", graph.inputs), ("out", graph.outputs)):
        for tensor in tensors:
            if tensor.name not in graph.traces:
                shape = " × ".join(map(str, tensor.axes)) or "one number"
                table.add_row(side, tensor.name, tensor.role, tensor.dtype, shape)
    return table
