"""`seqserve generate`."""

import os
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, cast

from service.cli import output, source
from service.cli.decoding import wants_table, with_decoding
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
    from service.client import Client, Generation
    from service.client.options import Decoding, GenerateOptions


@with_decoding
def generate(
    text: Texts = None,
    file: File = None,
    model: Model = "",
    truncate: Truncate = False,
    json: Json = False,
    errors: Invalid = Errors.REFUSE,
    address: Address = DEFAULT_ADDRESS,
    timeout: Timeout = 60.0,
    *,
    decoding: "Decoding",
) -> None:
    """Go on with a text: the arguments, all of a pipe or a file, or what you type.

    The text that follows is written as the model makes it; on a terminal, after what it goes on with.

    \b
    seqserve generate --model tinyshakespeare "ROMEO:" --temperature 0.8 --seed 1
    seqserve generate --model tinyshakespeare --max-length 500 < beginning.txt
    seqserve generate --model tinyshakespeare --json --hypotheses 3 --beam 3 "To be, or not to be"
    """
    options = cast("GenerateOptions", {"model": model, "truncate": truncate} | decoding)
    with connect(address, timeout) as client:
        if text:
            _one(client, source.from_arguments(text, errors, file), options, json)
        elif file is None and source.from_prompt():
            ask_again("text> ", errors, lambda prompt: _one(client, prompt, options, json))
        else:
            with source.opened(file) as descriptor:
                _one(client, source.decoded(b"".join(_read(descriptor)), "the text", errors), options, json)


def _read(descriptor: int) -> Iterator[bytes]:
    while chunk := os.read(descriptor, source.CHUNK_BYTES):
        yield chunk


def _one(client: "Client", prompt: str, options: "GenerateOptions", json: bool) -> None:
    if json:
        output.json_line(_as_json(prompt, client.generate(prompt, **options)))
    elif wants_table(options):
        for each in client.generate(prompt, **options).hypotheses:
            output.line(f"{each.score:.3f}\t{each.text}")
    else:
        _streamed(client, prompt, options)


def _streamed(client: "Client", prompt: str, options: "GenerateOptions") -> None:
    with client.stream_generate(prompt, **options) as tokens:
        if output.on_terminal():
            output.piece(prompt)
        for token in tokens:
            output.piece(token.piece)
    output.line("")


def _as_json(prompt: str, generation: "Generation") -> dict[str, object]:
    return {
        "prompt": prompt,
        "model": str(generation.model),
        "num_prompt_tokens": generation.num_prompt_tokens,
        "hypotheses": [asdict(each) for each in generation.hypotheses],
    }
