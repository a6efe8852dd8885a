"""`seqserve models`."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from service.cli import output
from service.cli.completion import model_names
from service.cli.options import DEFAULT_ADDRESS, Address, Json, Timeout, connect

if TYPE_CHECKING:
    from rich.table import Table

    from service.client import Model


SPARE = ("precision", "parameters", "size", "session", "languages", "version", "task")
"""Columns that a narrow terminal does without: `seqserve models NAME` has them all."""
MEANINGS = {
    "HumidityRatio": "kg of water vapour in 1 kg of dry air; from temperature and humidity: docs/tasks.md"
}
"""Column → what it holds, where the name alone leaves it open."""
WRITES = {"translate", "summarize", "generate", "chat", "caption"}
"""Tasks whose models write text, but for those that summarize by leaving words out."""


def models(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Tell all about this model.", autocompletion=model_names)
    ] = "",
    task: Annotated[str, typer.Option(metavar="TASK", help="Only models that translate, classify, …")] = "",
    json: Json = False,
    address: Address = DEFAULT_ADDRESS,
    timeout: Timeout = 60.0,
) -> None:
    """List the models that a server serves, or tell all about one.

    \b
    seqserve models
    seqserve models tatoeba-es-en
    seqserve models --task classify --json
    """
    with connect(address, timeout) as client:
        found = [client.model(name)] if name else client.models(task)
    if json:
        for model in found:
            output.json_line(asdict(model))
    else:
        output.table(details(found[0]) if name else overview(found), SPARE)


def overview(found: "list[Model]") -> "Table":
    from rich.table import Table

    rows = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("model", "version", "task", "languages", "parameters", "size", "precision", "session"):
        rows.add_column(
            title,
            justify="right" if title in ("parameters", "size") else "left",
            overflow="fold",  # a name is shown whole, since it is what other commands want
        )
    for model in found:
        rows.add_row(
            model.name,
            model.version,
            model.task,
            languages(model),
            f"{model.num_parameters:,}",
            output.size(model.size_bytes),
            model.precision,
            "yes" if model.streams else "no",
        )
    return rows


def details(model: "Model") -> "Table":
    from rich.table import Table

    rows = Table.grid(padding=(0, 2))
    for title, value in _facts(model):
        if value:
            rows.add_row(title, value)
    return rows


def languages(model: "Model") -> str:
    return " → ".join(filter(None, (model.source_language, model.target_language)))


def _column(name: str) -> str:
    return f"{name} ({MEANINGS[name]})" if name in MEANINGS else name


def _facts(model: "Model") -> list[tuple[str, str]]:
    writes = model.task in WRITES and not model.labels
    reads_text = model.input_kind == "text"
    defaults = (
        f"beam {model.beam_size}, length penalty {model.length_penalty:g}, at most {model.max_length} tokens"
    )
    return [
        ("model", f"{model.name} {model.version}"),
        ("description", model.description),
        ("task", model.task),
        ("languages", languages(model)),
        ("parameters", f"{model.num_parameters:,}"),
        ("on disk", f"{output.size(model.size_bytes)}, {model.precision}"),
        ("vocabulary", f"{model.vocabulary_size:,} tokens" if model.vocabulary_size else ""),
        ("hears", f"{model.sample_rate:,} samples a second" if model.sample_rate else ""),
        ("a reading is", ", ".join(map(_column, model.feature_names))),
        ("reads at most", f"{model.max_input_tokens:,} {'tokens' if reads_text else 'steps'}"),
        ("writes at most", f"{model.max_output_tokens:,} tokens" if writes else ""),
        ("decoding", defaults if writes else ""),
        ("labels", ", ".join(model.labels)),
        ("labels of texts", ", ".join(model.text_labels)),
        ("session", "yes" if model.streams else f"no: {model.why_not_streaming}"),
    ]
