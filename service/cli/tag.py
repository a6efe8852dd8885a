"""`seqserve tag`."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
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
from service.cli.sole import sole_model
from service.cli.source import Errors

if TYPE_CHECKING:
    from service.client import Client, Output, Tagging
    from service.client.options import TagOptions


def tag(
    text: Texts = None,
    file: File = None,
    words: Annotated[
        bool, typer.Option("--words", help="Every word with its label and probability, a line each.")
    ] = False,
    as_it_comes: Annotated[
        bool, typer.Option("--live", help="Feed word by word through a session; labels come as words end.")
    ] = False,
    model: Model = "",
    truncate: Truncate = False,
    json: Json = False,
    errors: Invalid = Errors.REFUSE,
    address: Address = DEFAULT_ADDRESS,
    timeout: Timeout = 60.0,
) -> None:
    """Label the words of a text: arguments, a pipe, a file, or what you type.

    A pipe or a file gives one line for each line, in order: what was found in brackets with its label; before it, where
    the model has one, the label of the whole text.

    \b
    seqserve tag "book a table for eight in maldives"
    seqserve tag --words "play jazz"
    seqserve tag --json < requests.txt
    """
    with connect(address, timeout) as client:
        options: TagOptions = {"model": model, "truncate": truncate}
        if as_it_comes:
            _live(client, model, text, file, errors, json)
        elif text:
            given = source.from_arguments(text, errors, file)
            _print(given, client.tag(given, **options), words, json)
        elif file is None and source.from_prompt():
            ask_again("text> ", errors, partial(_answer, client, options, words))
        else:
            with source.opened(file) as descriptor:
                _all(client, source.lines(descriptor, errors), options, words, json)


def in_brackets(text: str, tagging: "Tagging") -> str:
    """The text with what was found in it: `book a table for [eight party_size] in [maldives country]`."""
    parts, at = [], 0
    found = tagging.spans or [one for one in tagging.words if one.label != "O"]
    for one in found:
        parts += [text[at : one.start], f"[{text[one.start : one.end]} {one.label}]"]
        at = one.end
    return "".join([*parts, text[at:]])


def _live(
    client: "Client", model: str, text: list[str] | None, file: Path | None, errors: Errors, json: bool
) -> None:
    with client.session(model=sole_model(client, "tag", model)) as session:
        if text:
            lines: Iterable[str] = [source.from_arguments(text, errors, file)]
            _feed_all(lines, session.feed, json)
            return
        with source.opened(file) as descriptor:
            _feed_all(source.lines(descriptor, errors), session.feed, json)


def _feed_all(lines: Iterable[str], feed: Any, json: bool) -> None:
    """A word at a time; a line is a text."""
    for line in lines:
        for word in re.findall(r"\s*\S+\s?", line):
            _print_words(feed(word), json)
        _print_words(feed("", end_of_input=True), json)


def _print_words(answer: "Output", json: bool) -> None:
    label = f"\t{answer.label}" if answer.label else ""
    for one in answer.words:
        if json:
            output.json_line({**asdict(one), "text_label": answer.label})
        else:
            output.line(f"{one.word}\t{one.label}\t{one.probability:.4f}{label}")


def _answer(client: "Client", options: "TagOptions", words: bool, text: str) -> None:
    _print(text, client.tag(text, **options), words, json=False)


def _all(client: "Client", lines: Iterable[str], options: "TagOptions", words: bool, json: bool) -> None:
    def answer(texts: Iterable[str]) -> "Iterator[Tagging]":
        return client.tag_many(texts, **options)

    for text, tagging in source.answered(lines, answer):
        _print(text, tagging, words, json)


def _print(text: str, tagging: "Tagging | None", words: bool, json: bool) -> None:
    if json:
        output.json_line(_as_json(text, tagging))
    elif tagging is None:
        output.line("")
    elif words:
        for one in tagging.words:
            output.line(f"{one.word}\t{one.label}\t{one.probability:.4f}")
        output.line("")
    else:
        label = f"{tagging.label}\t" if tagging.label else ""
        output.line(label + in_brackets(text, tagging))


def _as_json(text: str, tagging: "Tagging | None") -> dict[str, Any]:
    if tagging is None:
        return {"text": text, "label": "", "words": [], "spans": []}
    return {
        "text": text,
        "label": tagging.label,
        "labels": [asdict(one) for one in tagging.labels],
        "words": [asdict(one) for one in tagging.words],
        "spans": [asdict(one) for one in tagging.spans],
        "model": str(tagging.model),
    }
