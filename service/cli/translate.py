"""`seqserve translate`."""

from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from service.cli import hypotheses, interpret, output, source
from service.cli.decoding import given_flags, wants_table, with_decoding
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
from service.cli.stop import USAGE, Stop

if TYPE_CHECKING:
    from service.client import Client, Translation, Translations
    from service.client.options import Decoding, SeveralOptions, TranslateOptions


@with_decoding
def translate(
    text: Texts = None,
    source_language: Annotated[
        str, typer.Option("--from", metavar="LANG", help="Language of the text, such as es.")
    ] = "",
    target_language: Annotated[
        str,
        typer.Option("--to", metavar="LANG", help="Language to translate into, such as en; several: de,fr."),
    ] = "",
    file: File = None,
    as_you_type: Annotated[
        bool, typer.Option("--live", help="Write while the text still comes in, through a session.")
    ] = False,
    wait: Annotated[
        int | None,
        typer.Option(
            min=1, max=100, metavar="K", help="With --live: how many words to be behind. \\[default: 3]"
        ),
    ] = None,
    model: Model = "",
    truncate: Truncate = False,
    json: Json = False,
    errors: Invalid = Errors.REFUSE,
    address: Address = DEFAULT_ADDRESS,
    timeout: Timeout = 60.0,
    *,
    decoding: "Decoding",
) -> None:
    """Translate text: arguments, a pipe, a file, or what you type.

    On a terminal the tokens appear as the model makes them. A pipe or a file gives one line for each line, in order.
    With --live a model that was trained for it writes each word as soon as K words more of the source are there.

    \b
    seqserve translate --from es --to en "¿Dónde está la biblioteca?"
    seqserve translate --from es --to en < letters.txt > letters.en.txt
    seqserve translate --from es --to en --json --beam 5 Buenas noches
    seqserve translate --from es --to en --temperature 0.8 --seed 7 Buenas noches
    seqserve translate --from es --to en --beam 4 --hypotheses 4 --attention Buenas noches
    seqserve translate --from es --to en --live --wait 3
    """
    chosen = {
        "model": model,
        "source": source_language,
        "target": target_language,
        "truncate": truncate,
    }
    options = cast("TranslateOptions", chosen | decoding)
    _check(as_you_type, wait, "," in target_language, decoding)
    with connect(address, timeout) as client:
        if "," in target_language:
            given = source.from_arguments(text, errors, file) if text else None
            _into(client, target_language, options, given, file, errors, json)
        elif as_you_type:
            name = interpret.chosen(client, model, source_language, target_language)
            _live(client, name, wait or interpret.DEFAULT_WAIT, text, file, errors, json)
        elif text:
            _one(client, source.from_arguments(text, errors, file), options, json)
        elif file is None and source.from_prompt():
            ask_again(f"{source_language or 'text'}> ", errors, partial(_streamed, client, options))
        else:
            with source.opened(file) as descriptor:
                _all(client, source.lines(descriptor, errors), options, json)


def _check(live: bool, wait: int | None, into_several: bool, asked: "Decoding") -> None:
    """Stop where options are given that do not go together."""
    if not live and wait is not None:
        raise Stop("--wait says how many words to be behind with --live; add --live, or leave it out", USAGE)
    if live and into_several:
        raise Stop("--live writes one language; name one with --to", USAGE)
    if live and (flags := given_flags(asked)):
        raise Stop(f"--live takes the likeliest word each time; leave out {', '.join(flags)}", USAGE)


def _into(
    client: "Client",
    languages: str,
    options: "TranslateOptions",
    text: str | None,
    file: Path | None,
    errors: Errors,
    json: bool,
) -> None:
    """Each text in several languages: a line for each, the language before it."""
    targets = [language.strip() for language in languages.split(",") if language.strip()]
    kept = {name: value for name, value in options.items() if name not in ("model", "target")}
    asked = cast("SeveralOptions", kept)
    if text is not None:
        _print_into(text, client.translate_into(text, targets, **asked), json)
        return
    with source.opened(file) as descriptor:
        for line in source.lines(descriptor, errors):
            if not source.is_blank(line):
                _print_into(line, client.translate_into(line, targets, **asked), json)


def _print_into(text: str, found: "Translations", json: bool) -> None:
    texts = {target: one.text for target, [one] in found.by_target.items()}
    if json:
        output.json_line({"text": text, "translations": texts, "num_readings": found.num_readings})
    else:
        output.piece("".join(f"{target}\t{translation}\n" for target, translation in texts.items()))


def _live(
    client: "Client",
    model: str,
    wait: int,
    text: list[str] | None,
    file: Path | None,
    errors: Errors,
    json: bool,
) -> None:
    with client.session(model=model, wait_k=wait) as session:
        if text:
            interpret.at_once(session, source.from_arguments(text, errors, file), json)
        elif file is None and source.from_prompt() and not json:
            interpret.as_typed(session)
        else:
            with source.opened(file) as descriptor:
                interpret.as_it_comes(session, descriptor, errors, json)


def _one(client: "Client", text: str, options: "TranslateOptions", json: bool) -> None:
    if output.on_terminal() and not json and not wants_table(options):
        _streamed(client, options, text)
    else:
        _print(text, client.translate(text, **options), json)


def _streamed(client: "Client", options: "TranslateOptions", text: str) -> None:
    with client.stream_translate(text, **options) as tokens:
        for token in tokens:
            output.piece(token.piece)
    output.line("")


def _all(client: "Client", lines: Iterable[str], options: "TranslateOptions", json: bool) -> None:
    def answer(texts: Iterable[str]) -> "Iterator[Translation]":
        return client.translate_many(texts, **options)

    for text, translation in source.answered(lines, answer):
        _print(text, translation, json)


def _print(text: str, translation: "Translation | None", json: bool) -> None:
    if json:
        output.json_line(_as_json(text, translation))
    else:
        output.line(translation.text if translation else "")
        if translation:
            _print_more(translation)


def _print_more(translation: "Translation") -> None:
    """What was asked for beside the text."""
    if len(translation.hypotheses) > 1:
        output.table(hypotheses.ranking(translation.hypotheses))
    if any(token.attention or token.alternatives for token in translation.tokens):
        output.table(hypotheses.details(translation))


def _as_json(text: str, translation: "Translation | None") -> dict[str, Any]:
    if translation is None:
        return {"text": text, "translation": "", "score": None, "tokens": []}
    return {
        "text": text,
        "translation": translation.text,
        "score": translation.score,
        "finish_reason": translation.finish_reason,
        "model": str(translation.model),
        "tokens": list(map(hypotheses.as_json, translation.tokens)),
        **_more_json(translation),
    }


def _more_json(translation: "Translation") -> dict[str, Any]:
    """What was asked for beside the best output."""
    more: dict[str, Any] = {"seed": translation.seed} if translation.seed else {}
    if translation.source_pieces:
        more["source_pieces"] = translation.source_pieces
    if len(translation.hypotheses) > 1:
        more["hypotheses"] = [
            {"translation": each.text, "score": each.score, "finish_reason": each.finish_reason}
            for each in translation.hypotheses
        ]
    return more
