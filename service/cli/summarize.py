"""`seqserve summarize`."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.cli import output, source
from service.cli.options import (
    DEFAULT_ADDRESS,
    Address,
    File,
    Invalid,
    Json,
    Model,
    Texts,
    Timeout,
    Truncate,
    connect,
)
from service.cli.prompt import ask_again
from service.cli.source import Errors

if TYPE_CHECKING:
    from service.client import Client, Summary
    from service.client.options import SummarizeOptions


def summarize(
    text: Texts = None,
    file: File = None,
    ratio: Annotated[
        float,
        typer.Option(
            "--max-ratio",
            min=0,
            max=1,
            metavar="R",
            help="Keep at most this share of the words (models that delete).",
        ),
    ] = 0.0,
    beam: Annotated[
        int | None, typer.Option(metavar="N", help="Hypotheses kept side by side (models that write).")
    ] = None,
    model: Model = "",
    truncate: Truncate = False,
    json: Json = False,
    errors: Invalid = Errors.REFUSE,
    address: Address = DEFAULT_ADDRESS,
    timeout: Timeout = 60.0,
) -> None:
    """Summarize text: arguments, a pipe, a file, or what you type.

    Some models leave words out, others write; `seqserve models NAME` tells. A pipe or a file gives one line for each
    line, in order.

    \b
    seqserve summarize "The Delhi Metro will be conducting an online survey in May, a statement said Friday."
    seqserve summarize --max-ratio 0.4 --json < news.txt
    """
    options: SummarizeOptions = {
        "model": model,
        "max_ratio": ratio,
        "beam_size": beam,
        "truncate": truncate,
    }
    with connect(address, timeout) as client:
        if text:
            given = source.from_arguments(text, errors, file)
            if output.on_terminal() and not json:
                _streamed(client, options, given)
            else:
                _print(given, client.summarize(given, **options), json)
        elif file is None and source.from_prompt():
            ask_again("text> ", errors, partial(_streamed, client, options))
        else:
            with source.opened(file) as descriptor:
                _all(client, source.lines(descriptor, errors), options, json)


def _streamed(client: "Client", options: "SummarizeOptions", text: str) -> None:
    with client.stream_summarize(text, **options) as tokens:
        for token in tokens:
            output.piece(token.piece)
    output.line("" if tokens.text else tokens.summary.text)


def _all(client: "Client", lines: Iterable[str], options: "SummarizeOptions", json: bool) -> None:
    def answer(texts: Iterable[str]) -> "Iterator[Summary]":
        return client.summarize_many(texts, **options)

    for text, summary in source.answered(lines, answer):
        _print(text, summary, json)


def _print(text: str, summary: "Summary | None", json: bool) -> None:
    if json:
        output.json_line(_as_json(text, summary))
    else:
        output.line(summary.text if summary else "")


def _as_json(text: str, summary: "Summary | None") -> dict[str, Any]:
    if summary is None:
        return {"text": text, "summary": "", "words": []}
    return {
        "text": text,
        "summary": summary.text,
        "words": [asdict(one) for one in summary.words],
        "model": str(summary.model),
    }
