"""Options of the commands that measure served models on a test set."""

from pathlib import Path
from typing import Annotated

import typer

from service.cli.completion import model_names

TestFile = Annotated[Path, typer.Argument(help="TSV of sentence pairs, or TSV or JSONL of labelled texts.")]
Columns = Annotated[
    str, typer.Option(metavar="A,B", help="What the TSV columns hold: languages, or label and text.")
]
Text = Annotated[str, typer.Option(metavar="NAME", help="Field, or column, of the text.")]
Label = Annotated[str, typer.Option(metavar="NAME", help="Field, or column, of the label.")]
Beam = Annotated[
    int | None, typer.Option(metavar="N", help="Hypotheses kept side by side. \\[default: the model's]")
]
Limit = Annotated[int | None, typer.Option(min=1, metavar="N", help="Only the first N.")]
Measured = Annotated[
    str,
    typer.Option(
        "--model", "-m", metavar="NAME", help="The served model to measure.", autocompletion=model_names
    ),
]
Simultaneous = Annotated[
    bool, typer.Option("--simultaneous", help="Feed word by word: BLEU and lag for each --wait.")
]
Waits = Annotated[
    str, typer.Option("--wait", metavar="K,K", help="With --simultaneous: how many words to be behind.")
]
Window = Annotated[
    int | None,
    typer.Option(min=1, metavar="N", help="Let a language model's state begin anew every N characters."),
]
Measure = Annotated[
    str,
    typer.Option(metavar="NAME", help="exact: whole outputs that are wrong. \\[default: the model's own]"),
]
Recipe = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Read the file as this recipe says. \\[default: of the model's name]"),
]
Save = Annotated[Path | None, typer.Option(metavar="FILE", help="Save the model's answers, one a line.")]
