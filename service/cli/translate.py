"""`seqserve translate`."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from service.cli import interpret, output, passages, source
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
from service.cli.passages import Cut, Passage
from service.cli.prompt import ask_again
from service.cli.source import Errors
from service.cli.stop import USAGE, Stop

if TYPE_CHECKING:
    from service.client import Client, Prose, Translations
    from service.client.options import Decoding, SeveralOptions, TranslateOptions

MOST_AT_ONCE = 32
"""Sentences in one request for several languages; a server takes 256, unless it is told to take fewer."""


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
    whole: Annotated[
        bool, typer.Option("--whole", help="Give the model texts of several sentences as they are.")
    ] = False,
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
    A text of several sentences is translated sentence by sentence and put together again, unless there is --whole,
    --live, --prefix, --stop, --min-length or --max-length.
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
    cut = partial(passages.cut, whole=whole or passages.stays_whole(decoding))
    with connect(address, timeout) as client:
        if "," in target_language:
            given = source.from_arguments(text, errors, file) if text else None
            _into(client, target_language, options, cut, given, file, errors, json)
        elif as_you_type:
            name = interpret.chosen(client, model, source_language, target_language)
            _live(client, name, wait or interpret.DEFAULT_WAIT, text, file, errors, json)
        elif text:
            _one(client, source.from_arguments(text, errors, file), cut, options, json)
        elif file is None and source.from_prompt():
            ask_again(f"{source_language or 'text'}> ", errors, partial(_streamed, client, options, cut))
        else:
            with source.opened(file) as descriptor:
                _all(client, source.lines(descriptor, errors), cut, options, json)


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
    cut: Cut,
    text: str | None,
    file: Path | None,
    errors: Errors,
    json: bool,
) -> None:
    """Each text in several languages: a line for each, the language before it."""
    targets = [language.strip() for language in languages.split(",") if language.strip()]
    kept = {name: value for name, value in options.items() if name not in ("model", "target")}
    ask = partial(client.translate_into, targets=targets, **cast("SeveralOptions", kept))
    if text is not None:
        _print_into(text, cut(text), ask, json)
        return
    with source.opened(file) as descriptor:
        for line in source.lines(descriptor, errors):
            if not source.is_blank(line):
                _print_into(line, cut(line), ask, json)


def _print_into(text: str, prose: "Prose", ask: "Callable[[list[str]], Translations]", json: bool) -> None:
    given = list(prose.sentences)
    found = [ask(given[at : at + MOST_AT_ONCE]) for at in range(0, len(given), MOST_AT_ONCE)]
    texts = {
        target: Passage(prose, [each for part in found for each in part[target]]).text
        for target in found[0].by_target
    }
    if json:
        num_readings = sum(part.num_readings for part in found)
        output.json_line({"text": text, "translations": texts, "num_readings": num_readings})
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


def _one(client: "Client", text: str, cut: Cut, options: "TranslateOptions", json: bool) -> None:
    if output.on_terminal() and not json and not wants_table(options):
        _streamed(client, options, cut, text)
    else:
        passages.show(text, _passage(client, cut(text), options), json)


def _passage(client: "Client", prose: "Prose", options: "TranslateOptions") -> Passage:
    if len(prose.sentences) > 1:
        return Passage(prose, client.translate(list(prose.sentences), **options))
    return Passage(prose, [client.translate(prose.sentences[0], **options)])


def _streamed(client: "Client", options: "TranslateOptions", cut: Cut, text: str) -> None:
    """One sentence after the other."""
    prose = cut(text)
    for place, sentence in enumerate(prose.sentences):
        with client.stream_translate(sentence, **options) as tokens:
            for token in tokens:
                output.piece(token.piece)
        output.piece(prose.after(place, tokens.text))
    output.line("")


def _all(client: "Client", lines: Iterable[str], cut: Cut, options: "TranslateOptions", json: bool) -> None:
    def answer(texts: Iterable[str]) -> Iterator[Passage]:
        return passages.translated(texts, cut, partial(client.translate_many, **options))

    for text, passage in source.answered(lines, answer):
        passages.show(text, passage, json)
