"""`seqserve classify`."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.cli import live, output, source
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
    from service.client import Classification, Client
    from service.client.options import ClassifyOptions


def classify(
    text: Texts = None,
    file: File = None,
    top: Annotated[int, typer.Option(min=1, metavar="N", help="How many labels to print for each text.")] = 1,
    as_you_type: Annotated[
        bool, typer.Option("--live", help="Label the text so far after every word, through a session.")
    ] = False,
    model: Model = "",
    truncate: Truncate = False,
    json: Json = False,
    errors: Invalid = Errors.REFUSE,
    address: Address = DEFAULT_ADDRESS,
    timeout: Timeout = 60.0,
) -> None:
    """Label text: arguments, a pipe, a file, or what you type.

    A pipe or a file gives one line for each line, in order: label, tab, probability. With --live every word is fed to
    a session as it comes, and the label of the text so far follows.

    \b
    seqserve classify "play some jazz on spotify"
    seqserve classify --top 3 --json < requests.txt
    seqserve classify --live
    """
    with connect(address, timeout) as client:
        if as_you_type:
            _live(client, model, text, file, errors, json, top)
            return
        options: ClassifyOptions = {"model": model, "num_labels": top, "truncate": truncate}
        if text:
            words = source.from_arguments(text, errors, file)
            _print(words, client.classify(words, **options), json)
        elif file is None and source.from_prompt():
            ask_again("text> ", errors, partial(_answer, client, options))
        else:
            with source.opened(file) as descriptor:
                _all(client, source.lines(descriptor, errors), options, json)


def _live(
    client: "Client",
    model: str,
    text: list[str] | None,
    file: Path | None,
    errors: Errors,
    json: bool,
    top: int,
) -> None:
    if not text and file is None and source.from_prompt() and not json:
        live.as_typed(client, model)
        return
    if text:
        live.word_by_word(client, model, [source.from_arguments(text, errors, file)], json, top)
    else:
        with source.opened(file) as descriptor:
            live.word_by_word(client, model, source.lines(descriptor, errors), json, top)


def _answer(client: "Client", options: "ClassifyOptions", text: str) -> None:
    _print(text, client.classify(text, **options), json=False)


def _all(client: "Client", lines: Iterable[str], options: "ClassifyOptions", json: bool) -> None:
    def answer(texts: Iterable[str]) -> "Iterator[Classification]":
        return client.classify_many(texts, **options)

    for text, classification in source.answered(lines, answer):
        _print(text, classification, json)


def _print(text: str, classification: "Classification | None", json: bool) -> None:
    if json:
        output.json_line(_as_json(text, classification))
    elif classification is None:
        output.line("")
    else:
        output.line("\t".join(f"{one.label}\t{one.probability:.4f}" for one in classification.labels))


def _as_json(text: str, classification: "Classification | None") -> dict[str, Any]:
    if classification is None:
        return {"text": text, "label": "", "probability": None, "labels": []}
    return {
        "text": text,
        "label": classification.label,
        "probability": classification.probability,
        "labels": [asdict(one) for one in classification.labels],
        "model": str(classification.model),
    }
