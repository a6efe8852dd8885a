"""`seqserve score`."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.cli import output, source
from service.cli.looking.surprise import heat_line
from service.cli.options import DEFAULT_ADDRESS, Address, Invalid, Json, Model, Timeout, Truncate, connect
from service.cli.source import Errors
from service.cli.stop import USAGE, Stop

if TYPE_CHECKING:
    from service.client import Client, Score
    from service.client.options import ScoreOptions

Pair = tuple[str, str]
AT_ONCE = 64
"""Pairs of one request."""


def score(
    text: Annotated[
        list[str] | None, typer.Argument(metavar="TEXT", help="The words of the output to score.")
    ] = None,
    given: Annotated[
        str, typer.Option("--source", "-s", metavar="TEXT", help="What it is the output of, or goes on from.")
    ] = "",
    file: Annotated[
        Path | None,
        typer.Option(
            "--file",
            "-f",
            metavar="FILE",
            help="Source and output, tab-separated, a pair a line; - is stdin.",
        ),
    ] = None,
    source_language: Annotated[
        str, typer.Option("--from", metavar="LANG", help="Language of the source, such as es.")
    ] = "",
    target_language: Annotated[
        str, typer.Option("--to", metavar="LANG", help="Language of the output, such as en.")
    ] = "",
    model: Model = "",
    truncate: Truncate = False,
    json: Json = False,
    errors: Invalid = Errors.REFUSE,
    address: Address = DEFAULT_ADDRESS,
    timeout: Timeout = 60.0,
) -> None:
    """Tell how probable a given output is to a model: a translation of its source, or a text to a language model.

    A terminal shows each token on a ground that is the brighter the less the model expected it. A pipe or a file gives
    a line for each pair: log-probability, perplexity, output; a line without a tab is an output without a source.

    \b
    seqserve score --from es --to en --source "El gato duerme." "The cat sleeps."
    seqserve score --model tinyshakespeare "To be, or not to be"
    seqserve score --from es --to en < pairs.tsv
    """
    choice = {"model": model, "source": source_language, "target": target_language, "truncate": truncate}
    options: ScoreOptions = {**choice}  # type: ignore[typeddict-item]
    with connect(address, timeout) as client:
        if text:
            _one(client, (given, source.from_arguments(text, errors, file)), options, json)
        elif file is None and source.from_prompt():
            raise Stop(
                "which output? seqserve score --source SOURCE OUTPUT, or a file of pairs: --file", USAGE
            )
        else:
            with source.opened(file) as descriptor:
                _all(client, _pairs(source.lines(descriptor, errors), given), options, json)


def _pairs(lines: Iterable[str], given: str) -> Iterator[Pair]:
    for number, line in enumerate(lines, 1):
        if source.is_blank(line):
            continue
        before, tab, after = line.rpartition("\t")
        if "\t" in before:
            raise Stop(f"line {number} has more than two columns: source and output, tab-separated", USAGE)
        yield (before if tab else given), after


def _one(client: "Client", pair: Pair, options: "ScoreOptions", json: bool) -> None:
    [found] = client.score([pair], **options)
    if json:
        output.json_line(_as_json(pair, found))
        return
    if output.in_colour():
        output.line(heat_line(found.tokens))
    each = found.log_prob / len(found.tokens)
    output.line(
        f"log-probability {found.log_prob:.3f}, {each:.3f} for each of {len(found.tokens)} tokens; "
        f"perplexity {perplexity([found]):.2f}"
    )


def _all(client: "Client", pairs: Iterable[Pair], options: "ScoreOptions", json: bool) -> None:
    """A line for each pair, and one for all."""
    scores: list[Score] = []
    for part in _parts(pairs):
        for pair, found in zip(part, client.score(part, **options), strict=True):
            scores.append(found)
            if json:
                output.json_line(_as_json(pair, found))
            else:
                output.line(f"{found.log_prob:.3f}\t{perplexity([found]):.2f}\t{pair[1]}")
    if not json and len(scores) > 1:
        num_tokens = sum(len(one.tokens) for one in scores)
        output.line(f"perplexity {perplexity(scores):.2f}: {len(scores):,} outputs, {num_tokens:,} tokens")


def _parts(pairs: Iterable[Pair]) -> Iterator[list[Pair]]:
    part: list[Pair] = []
    for pair in pairs:
        part.append(pair)
        if len(part) == AT_ONCE:
            yield part
            part = []
    if part:
        yield part


def perplexity(scores: "Sequence[Score]") -> float:
    """Of all their tokens together."""
    num_tokens = sum(len(one.tokens) for one in scores)
    return math.exp(min(-sum(one.log_prob for one in scores) / num_tokens, 700))


def _as_json(pair: Pair, found: "Score") -> dict[str, object]:
    return {
        "source": pair[0],
        "output": pair[1],
        "model": str(found.model),
        "log_prob": found.log_prob,
        "perplexity": perplexity([found]),
        "tokens": [
            {name: asdict(token)[name] for name in ("id", "piece", "log_prob")} for token in found.tokens
        ],
    }
