"""`seqserve transcribe`."""

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.cli import output, source
from service.cli.chosen import streaming
from service.cli.microphone import Microphone
from service.cli.options import DEFAULT_ADDRESS, Address, Json, Model, Timeout, connect
from service.cli.stop import USAGE, Stop

if TYPE_CHECKING:
    from service.client import Client, Output, Session, Transcription
    from service.client.options import TranscribeOptions

NOTHING = "nothing to hear: name a WAVE file, or pipe sound to --live"
NOT_LIVE = (
    "--beam is for whole recordings: while somebody speaks, what was heard is certain, and never taken back"
)


def transcribe(
    files: Annotated[
        list[Path] | None, typer.Argument(metavar="FILE", help="WAVE files (16-bit PCM); - is stdin.")
    ] = None,
    live: Annotated[
        bool, typer.Option("--live", help="Hear raw samples from stdin, and write while somebody speaks.")
    ] = False,
    beam: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="Texts kept side by side. \\[default: the likeliest label of each step]"
        ),
    ] = None,
    hypotheses: Annotated[
        int | None, typer.Option(metavar="N", help="How many of them to show, with their log-probabilities.")
    ] = None,
    model: Model = "",
    json: Json = False,
    address: Address = DEFAULT_ADDRESS,
    timeout: Timeout = 60.0,
) -> None:
    """Write down what is said: in WAVE files, or in what a microphone hears.

    Several files give a line for each: file, tab, text. With --live the text grows as it is heard; raw 16-bit samples
    of one channel are expected, as many a second as the model hears (seqserve models NAME).

    \b
    seqserve transcribe three-two-one.wav
    arecord -q -f S16_LE -c 1 -r 8000 -t raw | seqserve transcribe --live
    """
    with connect(address, timeout) as client:
        if live:
            if beam or hypotheses:
                raise Stop(NOT_LIVE, USAGE)
            _live(client, model, files or [], json)
        elif files or not source.from_prompt():
            options: TranscribeOptions = {
                "model": model,
                "beam_size": beam,
                "num_hypotheses": hypotheses,
            }
            _all(client, files or [Path("-")], options, json)
        else:
            raise Stop(NOTHING, USAGE)


def _all(client: "Client", files: list[Path], options: "TranscribeOptions", json: bool) -> None:
    for file in files:
        content = _content(file)
        if not content and str(file) == "-":
            raise Stop(NOTHING, USAGE)
        with source.naming("recordings[0].wav", "stdin" if str(file) == "-" else str(file)):
            found = client.transcribe(content, **options)
        if json:
            output.json_line(_as_json(file, found))
        elif len(found.hypotheses) > 1:
            for each in found.hypotheses:
                output.line(f"{each.score:.3f}\t{each.text}")
        else:
            output.line(found.text if len(files) == 1 else f"{file}\t{found.text}")


def _content(file: Path) -> bytes:
    with source.opened(file) as descriptor, open(descriptor, "rb", closefd=False) as stream:
        return stream.read()


def _live(client: "Client", name: str, files: list[Path], json: bool) -> None:
    if len(files) > 1:
        raise Stop("--live hears one file at a time, or what is piped to it", USAGE)
    model = streaming(client, "transcribe", name)
    if not files and source.from_prompt():
        raise Stop(
            "--live hears what is piped to it, such as: arecord -q -f S16_LE -c 1 "
            f"-r {model.sample_rate} -t raw | seqserve transcribe --live",
            USAGE,
        )
    with (
        source.opened(files[0] if files else None) as descriptor,
        client.session(model=model.name, version=model.version) as session,
    ):
        for answer in heard(session, Microphone(descriptor, model.sample_rate).chunks()):
            _print(answer, json)
    if not json:
        output.line("")


def heard(session: "Session", chunks: Iterable[bytes]) -> "Iterable[Output]":
    """What is said to each piece of sound; the end of the sound, or Ctrl-C, ends the input."""
    try:
        for chunk in chunks:
            yield session.feed_pcm(chunk)
    except KeyboardInterrupt:
        pass
    yield session.end_input()


def _print(answer: "Output", json: bool) -> None:
    for token in answer.heard:
        if json:
            output.json_line({"piece": token.piece, "seconds": round(token.seconds, 3)})
        else:
            output.piece(token.piece)


def _as_json(file: Path, found: "Transcription") -> dict[str, object]:
    return {
        "file": str(file),
        "text": found.text,
        "seconds": round(found.seconds, 3),
        "tokens": [asdict(token) | {"seconds": round(token.seconds, 3)} for token in found.tokens],
        "model": str(found.model),
        **({"hypotheses": [asdict(each) for each in found.hypotheses]} if found.hypotheses else {}),
    }
