"""`seqserve evaluate`: how good a served model is, measured through the server as its users see it."""

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from service.cli import measuring, output
from service.cli.measures import MEASURES, OTHERS, Asked, Measure, Measured, Report
from service.cli.measures.simultaneous import WHOLE, measure_waits
from service.cli.options import DEFAULT_ADDRESS, Address, Json, Timeout, connect
from service.cli.stop import USAGE, Stop
from service.cli.training import explained

if TYPE_CHECKING:
    from service.client import Client, Model


def evaluate(
    test_file: measuring.TestFile,
    model: measuring.Measured,
    columns: measuring.Columns = "",
    text: measuring.Text = "",
    label: measuring.Label = "",
    beam: measuring.Beam = None,
    simultaneous: measuring.Simultaneous = False,
    waits: measuring.Waits = "1,3,5,7,inf",
    limit: measuring.Limit = None,
    window: measuring.Window = None,
    measure: measuring.Measure = "",
    recipe: measuring.Recipe = None,
    save: measuring.Save = None,
    json: Json = False,
    address: Address = DEFAULT_ADDRESS,
    timeout: Timeout = 300.0,
) -> None:
    """Measure a served model on a test set: the score that its task is measured with, how it was counted, its speed.

    What columns and fields are called is taken from --recipe, or from the recipe of the model's name, if there is one.

    \b
    seqserve evaluate --model tatoeba-es-en --beam 4 tatoeba-es-en/test.tsv
    seqserve evaluate --model snips-intents snips/test.jsonl
    seqserve evaluate --model tatoeba-es-en-simultaneous --simultaneous --wait 1,3,inf tatoeba-es-en/test.tsv
    seqserve evaluate --model mine --columns en,es news.tsv
    """
    names = tuple(name.strip() for name in columns.split(",") if name.strip())
    asked = Asked(test_file, names, text, label, beam, limit, window, measure, recipe)
    with connect(address, timeout) as client:
        if simultaneous:
            _print_waits(_lags(client, model, asked, _waits(waits)), json)
            return
        found = measured(client, model, asked)
    if save is not None:
        _save(save, found.answers)
    if json:
        output.json_line(asdict(found.report))
    else:
        _print(found.report)


def measured(client: "Client", name: str, asked: Asked) -> Measured:
    """What a served model makes of a test set; Stop where its task has no measure."""
    model = client.model(name)
    if model.task not in MEASURES:
        raise Stop(f"a model of task {model.task} cannot be measured here; there are: {', '.join(MEASURES)}")
    measure = _another(model, asked.measure or model.measure) or MEASURES[model.task]
    try:
        return measure(client, model, asked)
    except ModuleNotFoundError as error:
        raise explained(error) from None


def _another(model: "Model", measure: str) -> Measure | None:
    """Another measure than the task's, where one is asked for."""
    if not measure:
        return None
    known = OTHERS.get(model.task, {})
    if measure not in known:
        raise Stop(
            f"no measure {measure!r} for task {model.task}; there are: {', '.join(known) or 'none'}", USAGE
        )
    return known[measure]


def _waits(text: str) -> list[int]:
    try:
        return [WHOLE if one.strip() == "inf" else int(one) for one in text.split(",")]
    except ValueError:
        raise Stop(f"--wait is a list of numbers such as 1,3,inf, not {text!r}", USAGE) from None


def _lags(client: "Client", name: str, asked: Asked, waits: list[int]) -> list[Report]:
    try:
        return measure_waits(client, client.model(name), asked, waits)
    except ModuleNotFoundError as error:
        raise explained(error) from None


def _print_waits(reports: list[Report], json: bool) -> None:
    for report in reports if json else ():
        output.json_line(asdict(report))
    if json:
        return
    output.line("k    BLEU   LAAL   DAL    ms per word")
    for one in reports:
        wait = "inf" if one.wait_k == WHOLE else str(one.wait_k)
        laal, dal, ms_per_word = one.more.values()
        output.line(f"{wait:<4} {one.score:<6.2f} {laal:<6.2f} {dal:<6.2f} {ms_per_word:.2f}")
    if reports:
        output.line(f"{reports[0].num_examples:,} texts; {reports[0].signature}")


def _print(report: Report) -> None:
    beam = f", beam {report.beam_size}" if report.beam_size else ""
    output.line(f"{report.model} on {report.file}: {report.num_examples:,} {report.examples}{beam}")
    score = f"{report.metric} {report.score:.{report.digits}f} {report.unit}".rstrip()
    output.line(f"{score} {report.signature}")
    if report.more:
        output.line(", ".join(f"{name} {value:.{report.digits}f}" for name, value in report.more.items()))
    output.line(
        f"{report.seconds} s: {report.examples_per_s:,} {report.examples}/s, {report.tokens_per_s:,} tokens/s"
    )


def _save(path: Path, answers: Iterable[str]) -> None:
    try:
        path.write_text("".join(f"{answer}\n" for answer in answers), encoding="utf-8")
    except OSError as error:
        raise Stop(f"cannot write {path}: {error.strerror}") from None
