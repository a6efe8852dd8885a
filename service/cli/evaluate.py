"""`seqserve evaluate`: how good a served model is, measured through the server as its users see it."""

import sys
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from service.cli import output
from service.cli.completion import model_names
from service.cli.options import DEFAULT_ADDRESS, Address, Json, Timeout, connect
from service.cli.stop import Stop
from service.cli.training import explained

if TYPE_CHECKING:
    from service.client import Client, Model

T = TypeVar("T")


@dataclass(frozen=True)
class Report:
    """What was measured; `score` is BLEU, or the accuracy in percent."""

    model: str
    file: str
    num_texts: int
    metric: str
    score: float
    signature: str
    """sacreBLEU's, which says how the score was computed."""
    beam_size: int | None
    seconds: float
    texts_per_s: float
    tokens_per_s: float
    """Tokens written by a translator, read by a classifier."""


def evaluate(
    test_file: Annotated[
        Path, typer.Argument(help="TSV of sentence pairs, or TSV or JSONL of labelled texts.")
    ],
    model: Annotated[
        str,
        typer.Option(
            "--model",
            "-m",
            metavar="NAME",
            help="The served model to measure.",
            autocompletion=model_names,
        ),
    ],
    columns: Annotated[
        str, typer.Option(metavar="A,B", help="What the TSV columns hold: languages, or label and text.")
    ] = "",
    text: Annotated[str, typer.Option(metavar="NAME", help="Field, or column, of the text.")] = "",
    label: Annotated[str, typer.Option(metavar="NAME", help="Field, or column, of the label.")] = "",
    beam: Annotated[
        int | None, typer.Option(metavar="N", help="Hypotheses kept side by side. [default: the model's]")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, metavar="N", help="Only the first N.")] = None,
    save: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Save the model's answers, one a line.")
    ] = None,
    json: Json = False,
    address: Address = DEFAULT_ADDRESS,
    timeout: Timeout = 300.0,
) -> None:
    """Measure a served model on a test set: BLEU with its signature, or accuracy; and its speed.

    What the columns and fields are called is taken from the recipe of the model's name, if there is one.

    \b
    seqserve evaluate --model tatoeba-es-en --beam 4 tatoeba-es-en/test.tsv
    seqserve evaluate --model snips-intents snips/test.jsonl
    seqserve evaluate --model mine --columns en,es news.tsv
    """
    names = tuple(name.strip() for name in columns.split(",") if name.strip())
    with connect(address, timeout) as client:
        described = client.model(model)
        try:
            if described.task == "translate":
                report, answers = _translations(client, described, test_file, names, beam, limit)
            else:
                report, answers = _labels(client, described, test_file, names, text, label, limit)
        except ModuleNotFoundError as error:
            raise explained(error) from None
    if save is not None:
        _save(save, answers)
    if json:
        output.json_line(asdict(report))
    else:
        _print(report)


def _translations(
    client: "Client",
    model: "Model",
    file: Path,
    columns: tuple[str, ...],
    beam: int | None,
    limit: int | None,
) -> tuple[Report, list[str]]:
    from training.evaluate import read_test_pairs, score_translations

    languages = model.source_language, model.target_language
    pairs = read_test_pairs(file, model.name, *languages, columns)[:limit]
    started = time.perf_counter()
    texts = (pair.source for pair in pairs)
    answers = _watched(
        client.translate_many(texts, model=model.name, beam_size=beam, truncate=True), len(pairs)
    )
    seconds = time.perf_counter() - started
    found = [answer.text for answer in answers]
    bleu = score_translations(found, [pair.target for pair in pairs])
    num_tokens = sum(len(answer.tokens) for answer in answers)
    beam = beam or model.beam_size
    return _report(
        model, file, "BLEU", bleu.score, bleu.signature, beam, seconds, len(pairs), num_tokens
    ), found


def _labels(
    client: "Client",
    model: "Model",
    file: Path,
    columns: tuple[str, ...],
    text: str,
    label: str,
    limit: int | None,
) -> tuple[Report, list[str]]:
    from training.evaluate import read_test_texts, score_labels

    examples = read_test_texts(file, model.name, columns, text, label)[:limit]
    started = time.perf_counter()
    texts = (example.text for example in examples)
    answers = _watched(
        client.classify_many(texts, model=model.name, num_labels=1, truncate=True), len(examples)
    )
    seconds = time.perf_counter() - started
    found = [answer.label for answer in answers]
    accuracy = score_labels(found, [example.label for example in examples])
    num_tokens = sum(answer.num_tokens for answer in answers)
    return _report(model, file, "accuracy", accuracy, "", None, seconds, len(examples), num_tokens), found


def _report(
    model: "Model",
    file: Path,
    metric: str,
    score: float,
    signature: str,
    beam_size: int | None,
    seconds: float,
    num_texts: int,
    num_tokens: int,
) -> Report:
    return Report(
        model=f"{model.name}/{model.version}",
        file=str(file),
        num_texts=num_texts,
        metric=metric,
        score=round(score, 2),
        signature=signature,
        beam_size=beam_size,
        seconds=round(seconds, 2),
        texts_per_s=round(num_texts / seconds, 1),
        tokens_per_s=round(num_tokens / seconds, 1),
    )


def _print(report: Report) -> None:
    beam = f", beam {report.beam_size}" if report.beam_size else ""
    output.line(f"{report.model} on {report.file}: {report.num_texts:,} texts{beam}")
    percent = "" if report.signature else " %"
    output.line(f"{report.metric} {report.score:.2f}{percent}  {report.signature}".rstrip())
    output.line(f"{report.seconds} s: {report.texts_per_s:,} texts/s, {report.tokens_per_s:,} tokens/s")


def _watched(answers: Iterable[T], total: int) -> list[T]:
    """All answers; a person who waits sees how far they are."""
    from rich.console import Console
    from rich.progress import track

    quiet = not sys.stderr.isatty()
    return list(
        track(answers, "measuring", total, console=Console(stderr=True), transient=True, disable=quiet)
    )


def _save(path: Path, answers: Iterable[str]) -> None:
    try:
        path.write_text("".join(f"{answer}\n" for answer in answers), encoding="utf-8")
    except OSError as error:
        raise Stop(f"cannot write {path}: {error.strerror}") from None
