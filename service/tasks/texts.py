"""Texts that come in: what is refused, and how they become tokens."""

import asyncio
from collections.abc import Sequence
from enum import Enum
from functools import partial
from typing import NamedTuple, Self

from service.bundle import Bundle
from service.bundle.tokenizer import EOS, Tokenizer
from service.bundle.words import Word, subwords_of, words_of
from service.config import LimitSettings
from service.errors import InvalidInput

_BLANKED = {code: " " for code in (*range(0x20), 0x7F) if chr(code) not in "\t\n"}
"""Control characters carry no meaning for a model and count as white space."""

_AT_ONCE = 20_000
"""Characters that are tokenized on the event loop; more would hold up the other callers."""


class TooLong(Enum):
    """What to do with a text of more tokens than the model reads."""

    REFUSE = "refuse"
    TRUNCATE = "truncate"


class Source(NamedTuple):
    """Where the tokens of a text come from: for each, the end of the sentence last."""

    pieces: tuple[str, ...]
    """What of the text it stands for, with the white space before it."""
    words: tuple[str, ...]
    """The whole word that it belongs to; empty for the end."""


NO_SOURCE = Source((), ())


class CutText(NamedTuple):
    """A text, its words, their tokens in turn, and for each word where its last token stands."""

    text: str
    words: list[Word]
    tokens: list[int]
    ends: list[int]

    def first(self, limit: int) -> Self:
        """The words whose tokens are all among the first `limit`; the first word in any case, cut if need be."""
        num = sum(end < limit for end in self.ends) or 1
        tokens = self.tokens[: min(limit, self.ends[num - 1] + 1)]
        return type(self)(self.text, self.words[:num], tokens, [*self.ends[: num - 1], len(tokens) - 1])


async def cut_texts(
    texts: Sequence[str],
    bundle: Bundle,
    limits: LimitSettings,
    too_long: TooLong,
    *,
    field: str = "texts[{}]",
) -> list[CutText]:
    """The words of whole texts with their tokens; refuses what `tokens_of` refuses."""
    cleaned = _checked(texts, limits, field)
    cut = partial(_cut, bundle)
    found = await asyncio.to_thread(cut, cleaned) if is_long(cleaned) else cut(cleaned)
    limit = bundle.manifest.limits.max_input_tokens
    for index, text in enumerate(found):
        _fitted(text.tokens, bundle, too_long, field.format(index))
    return [text.first(limit) for text in found]


async def tokens_of(
    texts: Sequence[str],
    bundle: Bundle,
    limits: LimitSettings,
    too_long: TooLong,
    *,
    field: str = "texts[{}]",
    max_tokens: int | None = None,
) -> list[list[int]]:
    """The tokens of whole texts; `field` names the text with an index in what is refused.

    By default a text may have as many tokens as the model reads.
    """
    cleaned = _checked(texts, limits, field)
    encoded = await _encode(bundle.tokenizer, cleaned)
    return [
        _fitted(tokens, bundle, too_long, field.format(index), max_tokens)
        for index, tokens in enumerate(encoded)
    ]


async def prompts_of(
    texts: Sequence[str],
    bundle: Bundle,
    limits: LimitSettings,
    too_long: TooLong,
    *,
    field: str = "prompts[{}]",
) -> list[list[int]]:
    """The tokens of texts that are gone on with; one that holds nothing begins a text.

    For a model that takes turns each line is one, ended by EOS but for the last.
    """
    _check_number(texts, limits, field)
    cleaned = [cleaned_text(text, limits, field.format(index)) for index, text in enumerate(texts)]
    if bundle.manifest.task == "chat":
        encoded = [await _turns(bundle.tokenizer, text) for text in cleaned]
    else:
        encoded = await _encode(bundle.tokenizer, cleaned)
    return [
        _fitted(tokens, bundle, too_long, field.format(index)) if tokens else []
        for index, tokens in enumerate(encoded)
    ]


def source_of(text: str, num_tokens: int, bundle: Bundle) -> Source:
    """Where the first `num_tokens` tokens of a text come from."""
    text = text.translate(_BLANKED)
    spans = bundle.tokenizer.spans(text)[:num_tokens]
    ends = [0, *(span.end for span in spans)]
    pieces = [text[before : span.end] for before, span in zip(ends, spans, strict=False)]
    edges: dict[int, tuple[int, int]] = {}
    for span in spans:
        start, end = edges.get(span.word, (span.start, span.end))
        edges[span.word] = min(start, span.start), max(end, span.end)
    words = [text[slice(*edges[span.word])].strip() for span in spans]
    return Source((*pieces, ""), (*words, ""))


def cleaned_text(text: str, limits: LimitSettings, field: str) -> str:
    """The text, control characters blanked; refuses what is not Unicode text or is beyond all measure."""
    try:
        num_bytes = len(text.encode("utf-8"))
    except UnicodeEncodeError as error:
        raise InvalidInput(
            f"{field} holds a lone surrogate at character {error.start}; expected Unicode text", field=field
        ) from None
    if num_bytes > limits.max_text_bytes:
        raise InvalidInput(
            f"{field} has {num_bytes:,} bytes; the limit is {limits.max_text_bytes:,}", field=field
        )
    return text.translate(_BLANKED)


def _checked(texts: Sequence[str], limits: LimitSettings, field: str) -> list[str]:
    _check_number(texts, limits, field)
    cleaned = [cleaned_text(text, limits, field.format(index)) for index, text in enumerate(texts)]
    for index, text in enumerate(cleaned):
        _check_not_blank(text, field.format(index))
    return cleaned


def _cut(bundle: Bundle, texts: Sequence[str]) -> list[CutText]:
    cut = [words_of(text, bundle.manifest.words) for text in texts]
    tokens = [subwords_of(bundle.tokenizer, [word.text for word in words]) for words in cut]
    return [CutText(text, words, *each) for text, words, each in zip(texts, cut, tokens, strict=True)]


async def _encode(tokenizer: Tokenizer, texts: list[str]) -> list[list[int]]:
    if is_long(texts):
        return await asyncio.to_thread(tokenizer.encode_batch, texts)
    return [tokenizer.encode(text) for text in texts]


async def _turns(tokenizer: Tokenizer, text: str) -> list[int]:
    turns = await _encode(tokenizer, [line for line in text.split("\n") if line.strip()])
    return [token for turn in turns for token in (*turn, EOS)][:-1]


def is_long(texts: Sequence[str]) -> bool:
    """Whether tokenizing them on the event loop would hold up the other callers."""
    return sum(map(len, texts)) > _AT_ONCE


def _check_number(texts: Sequence[str], limits: LimitSettings, field: str) -> None:
    if not 1 <= len(texts) <= limits.max_texts:
        raise InvalidInput(
            f"expected 1 to {limits.max_texts} texts in one request, not {len(texts)}",
            field=field.partition("[")[0],
        )


def _check_not_blank(text: str, field: str) -> None:
    if not text or text.isspace():
        what = "white space only" if text else "empty"
        raise InvalidInput(f"{field} is {what}; expected at least one word", field=field)


def _fitted(
    tokens: list[int], bundle: Bundle, too_long: TooLong, field: str, max_tokens: int | None = None
) -> list[int]:
    limit, does = (
        (bundle.manifest.limits.max_input_tokens, "reads") if max_tokens is None else (max_tokens, "writes")
    )
    if not tokens:
        raise InvalidInput(f"{field} holds nothing that can be read; expected at least one word", field=field)
    if len(tokens) > limit and too_long is TooLong.REFUSE:
        raise InvalidInput(
            f"{field} has {len(tokens):,} tokens; {bundle.manifest.name} {does} at most {limit:,}. Split the text, or "
            "ask for TOO_LONG_TRUNCATE",
            field=field,
        )
    return tokens[:limit]
