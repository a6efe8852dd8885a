"""`seqserve chat`."""

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from service.cli import called, output, source
from service.cli.decoding import with_decoding
from service.cli.options import DEFAULT_ADDRESS, Address, Invalid, Model, Texts, Timeout, connect
from service.cli.prompt import ask_again
from service.cli.sole import sole_model
from service.cli.source import Errors

if TYPE_CHECKING:
    from service.client import Client, Session
    from service.client.options import Decoding

Resume = Annotated[
    str, typer.Option("--resume", metavar="ID", help="Go on with the session that has this id.")
]


Keep = Annotated[
    bool, typer.Option("--keep", help="Leave the session on the server, so that it can be resumed.")
]


@with_decoding
def chat(
    text: Texts = None,
    resume: Resume = "",
    keep: Keep = False,
    model: Model = "",
    errors: Invalid = Errors.REFUSE,
    address: Address = DEFAULT_ADDRESS,
    timeout: Timeout = 60.0,
    *,
    decoding: "Decoding",
) -> None:
    """Talk with a model that replies: what you type, or each line of a pipe, is a turn.

    A text on the command line is the first turn; at a terminal you go on from there, and else it is the only one.
    All that was said is the state of a session on the server: a turn costs its own tokens only. At the end of a
    conversation that you type, or with --keep, the session is left there and its id is shown.

    \b
    seqserve chat
    seqserve chat "I am looking for a restaurant."
    seqserve chat --resume ID
    echo "I am looking for a restaurant." | seqserve chat --seed 1
    """
    with connect(address, timeout) as client:
        session = client.resume(resume) if resume else _opened(client, model)
        try:
            _talk(session, source.from_arguments(text, errors) if text else "", errors, decoding)
        finally:
            if keep or resume or source.from_prompt():
                session.detach()
                _tell(session, address)
            else:
                session.close()


def _opened(client: "Client", model: str) -> "Session":
    return client.session(model=sole_model(client, "chat", model))


def _talk(session: "Session", first: str, errors: Errors, decoding: "Decoding") -> None:
    def answer(text: str) -> None:
        session.feed(text)
        for token in session.generate(**decoding):
            output.piece(token.piece)
        output.line("")

    if first:
        answer(first)
    if source.from_prompt():
        ask_again("you> ", errors, answer)
    elif not first:
        _answer_lines(errors, answer)


def _answer_lines(errors: Errors, answer: Callable[[str], None]) -> None:
    with source.opened(None) as descriptor:
        for line in source.lines(descriptor, errors):
            if not source.is_blank(line):
                answer(line)


def _tell(session: "Session", address: str) -> None:
    """Where it stands, and how to go on."""
    known = os.environ.get("SEQSERVE_ADDRESS") or DEFAULT_ADDRESS
    there = "" if address == known else f" --address {address}"
    counts = f"{session.input_position} tokens read, {session.output_position} written"
    until = f" within {_span(session.ttl_s)}" if session.ttl_s else ""
    again = f"go on{until}: {called.name()} chat{there} --resume {session.session_id}"
    typer.echo(f"session {session.session_id}: {counts}; {again}", err=True)


def _span(seconds: float) -> str:
    """In whole minutes, where it is that long."""
    return f"{seconds // 60:.0f} min" if seconds >= 60 else f"{seconds:.0f} s"
