"""What every benchmark can be told."""

from pathlib import Path
from typing import Annotated

import typer

Models = Annotated[Path, typer.Option(help="Model repository.")]
Translator = Annotated[str, typer.Option(help="Translator in it, by name.")]
Classifier = Annotated[str, typer.Option(help="Classifier in it, by name, that can be fed in a session.")]
Texts = Annotated[Path | None, typer.Option(help="Sentences to translate, one a line.")]
Numbers = Annotated[str, typer.Option(help="How many at once; several numbers, separated by commas.")]
Rounds = Annotated[int, typer.Option(min=1, help="Rounds; the table shows their median.")]
Seconds = Annotated[float, typer.Option(help="Length of a measurement in a round.")]
Threads = Annotated[
    int, typer.Option(min=1, help="Threads of an engine, in the server and in what it is compared with.")
]
Run = Annotated[
    Path | None,
    typer.Option(help="Folder of a training run for graphs in other arithmetic; else random weights."),
]
Server = Annotated[str, typer.Option(help="More arguments for `seqserve serve`, as one string.")]
Only = Annotated[str, typer.Option(help="Only what is named, separated by commas; empty: all.")]
Out = Annotated[Path | None, typer.Option(help="Write every round as JSON, too.")]
Multiplex = Annotated[
    bool, typer.Option("--multiplex", help="Our clients' streams share one stream of gRPC.")
]
Quick = Annotated[
    bool, typer.Option("--quick", help="One short round: shows that it runs, measures nothing.")
]

QUICK_S = 0.2


def chosen(only: str, name: str) -> bool:
    """Whether a part of a benchmark is to run."""
    return not only or name in only.split(",")


def numbers_of(text: str) -> list[int]:
    return [int(number) for number in text.split(",")]
