"""`seqserve caption`."""

import json as jsonlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from service.cli import output, source
from service.cli.options import DEFAULT_ADDRESS, Address, Json, Model, Timeout, connect
from service.cli.source import Errors
from service.cli.stop import USAGE, Stop


def caption(
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="FILE", help="A vector a line: numbers, a JSON list, or an object with `vector`."
        ),
    ] = None,
    beam: Annotated[
        int | None, typer.Option(metavar="N", help="Hypotheses kept side by side. \\[default: the model's]")
    ] = None,
    model: Model = "",
    json: Json = False,
    address: Address = DEFAULT_ADDRESS,
    timeout: Timeout = 60.0,
) -> None:
    """Describe feature vectors in words; a line for each line of a file or of stdin.

    \b
    seqserve caption vectors.jsonl
    encode-image cat.png | seqserve caption
    """
    with connect(address, timeout) as client, source.opened(file) as descriptor:
        vectors = list(_vectors(descriptor))
        if not vectors:
            raise Stop("there are no vectors in it", USAGE)
        found = client.caption_many(vectors, model=model, beam_size=beam)
    for one in found:
        if json:
            score = one.hypotheses[0].score
            output.json_line({"text": one.text, "score": score, "model": str(one.model)})
        else:
            output.line(one.text)


def _vectors(descriptor: int) -> Iterator[list[float]]:
    for number, line in enumerate(source.lines(descriptor, Errors.REPLACE), 1):
        if source.is_blank(line):
            continue
        try:
            yield vector_in(line)
        except (ValueError, TypeError, KeyError):
            raise Stop(
                f"line {number}: expected numbers, a JSON list, or an object with `vector`", USAGE
            ) from None


def vector_in(line: str) -> list[float]:
    """The numbers of a line; ValueError, TypeError or KeyError where there are none."""
    if line.lstrip()[:1] in "[{":
        found = jsonlib.loads(line)
        return [float(number) for number in (found["vector"] if isinstance(found, dict) else found)]
    return [float(number) for number in line.replace(",", " ").split()]
