"""What a server says of a request, in the words of the command line."""

import re

from service.cli.decoding import CHOICES

FLAGS = {field: f"--{name.replace('_', '-')}" for name, (field, _) in CHOICES.items()} | {
    "num_labels": "--top",
    "max_ratio": "--max-ratio",
}
"""Field of a request → the option that fills it."""

_TEXT = re.compile(r"\b(?:texts?|prompt|pairs\[\d+\]\.output)(\[\d+\])? (?=is|has|holds)")
_SOURCE = re.compile(r"\bpairs\[\d+\]\.source (?=is|has|holds)")
_LANGUAGE_TWICE = re.compile(r"\bmodels\[\d+\] is (\S+) once more")
_OPTION = re.compile(r"\boptions\.([a-z_]+)\b|\b([a-z]+_[a-z_]+)\b")
WORDS = {
    "ask for TOO_LONG_TRUNCATE": "cut it: --truncate",
    "name one of them": "choose one with --model, or a translator by --from and --to",
    "the time that the caller gave is over": "the time of --timeout is over",
    "did not answer within the time given": "did not answer within the time given; allow more: --timeout",
}


def in_words(error: Exception, text: str) -> str:
    """The message, with `text` in the place of a text's name on the wire, and options by the names they have here."""
    message = _TEXT.sub(f"{text} ", str(error))
    message = _SOURCE.sub("--source ", message)
    message = _LANGUAGE_TWICE.sub(r"--to asks for \1 twice", message)
    for theirs, ours in WORDS.items():
        message = message.replace(theirs, ours)
    return _OPTION.sub(lambda found: FLAGS.get(found[1] or found[2], found[0]), message)
