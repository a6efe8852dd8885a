"""`seqserve distill`: what a served model makes of a training set, for another model to learn from."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.cli import output
from service.cli.completion import model_names
from service.cli.options import DEFAULT_ADDRESS, Address, Timeout, connect
from service.cli.stop import USAGE, Stop
from service.cli.training import explained

if TYPE_CHECKING:
    from service.client import Translation
    from training.evaluate import Pair


def distill(
    train_file: Annotated[Path, typer.Argument(help="TSV of sentence pairs.")],
    model: Annotated[
        str,
        typer.Option("--model", "-m", metavar="NAME", help="The teacher.", autocompletion=model_names),
    ],
    columns: Annotated[str, typer.Option(metavar="A,B", help="The languages of the TSV columns.")] = "",
    beam: Annotated[int, typer.Option(min=1, max=16, metavar="N", help="Hypotheses kept side by side.")] = 4,
    nearest: Annotated[
        bool, typer.Option("--nearest", help="Of the beam's outputs, the one nearest to the file's own.")
    ] = False,
    address: Address = DEFAULT_ADDRESS,
    timeout: Timeout = 300.0,
) -> None:
    """Write the pairs of a TSV file again, their targets as a served model translates the sources.

    A small model learns more from what a larger one writes than from what people wrote (Kim & Rush 2016, section 3.2):
    add the file to `data.train` of its recipe. With --nearest a target is the output that is most like the original
    (section 3.3).

    \b
    seqserve distill --model tatoeba-es-en train.tsv > train.distilled.tsv
    """
    names = tuple(name.strip() for name in columns.split(",") if name.strip())
    with connect(address, timeout) as client:
        teacher = client.model(model)
        if teacher.task != "translate":
            raise Stop(f"{model} does not translate; its task is {teacher.task}", USAGE)
        languages = teacher.source_language, teacher.target_language
        pairs, order = _pairs(train_file, model, languages, names)
        answers = client.translate_many(
            (pair.source for pair in pairs),
            model=model,
            beam_size=beam,
            num_hypotheses=beam if nearest else 1,
            truncate=True,
        )
        _write(pairs, answers, order)


def _pairs(
    file: Path, model: str, languages: tuple[str, str], columns: tuple[str, ...]
) -> "tuple[list[Pair], tuple[int, int]]":
    """The pairs, and the columns of source and target."""
    try:
        from training.evaluate import columns_of, read_test_pairs
    except ModuleNotFoundError as error:
        raise explained(error) from None
    columns = columns or columns_of(model) or languages
    pairs = read_test_pairs(file, model, *languages, columns)
    return pairs, (columns.index(languages[0]), columns.index(languages[1]))


def _write(pairs: "Sequence[Pair]", answers: "Iterable[Translation]", order: tuple[int, int]) -> None:
    from training.evaluate import nearest_to

    for pair, answer in zip(pairs, answers, strict=True):
        texts = [one.text for one in answer.hypotheses]
        target = texts[0] if len(texts) == 1 else nearest_to(pair.target, texts)
        if target:
            source, written = (" ".join(text.split()) for text in (pair.source, target))
            output.line("\t".join((source, written) if order[0] < order[1] else (written, source)))
