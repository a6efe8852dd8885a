"""Which kinds of tokenizer there are, and how one is read from its file."""

import json
from collections.abc import Callable
from pathlib import Path

from service.bundle.characters import Characters
from service.bundle.subwords import Subwords
from service.bundle.tokenizer import Tokenizer
from service.errors import InvalidInput

TOKENIZERS: dict[str, Callable[[str], Tokenizer]] = {
    "subwords": Subwords.from_json,
    "characters": Characters.from_json,
}
"""`kind` of a tokenizer.json → how it is made from its text; the pipelines of subwords name none."""


def tokenizer_from_json(text: str) -> Tokenizer:
    """Takes the text of a `tokenizer.json`; raises InvalidInput when it is not one."""
    try:
        tree = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"not a tokenizer: {error}") from error
    kind = tree.get("kind", "subwords") if isinstance(tree, dict) else "subwords"
    if not isinstance(kind, str) or kind not in TOKENIZERS:
        raise InvalidInput(f"not a tokenizer: no kind is called {kind!r}; there are: {', '.join(TOKENIZERS)}")
    return TOKENIZERS[kind](text)


def tokenizer_from_file(path: Path) -> Tokenizer:
    """Reads a `tokenizer.json`."""
    return tokenizer_from_json(path.read_text("utf-8"))
