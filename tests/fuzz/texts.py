"""Texts: their words and tokens are the same whole and in pieces, wherever they are cut."""

from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from typing import Literal

from service.bundle.characters import Characters
from service.bundle.tokenizer import Tokenizer
from service.bundle.words import WordFeeder, subwords_of, words_of
from service.errors import InvalidInput
from tests.fuzz.target import Target
from training.config import TokenizerSection
from training.data.tokenizers import learn_tokenizer

SENTENCES = ("uno dos tres", "don't play ab abc, please!", "¿Dónde está la casa? 10 U.S.-based") * 3


@cache
def tokenizers() -> tuple[Tokenizer, ...]:
    """As training learns them."""
    kinds: tuple[Literal["subwords", "words", "characters"], ...] = ("subwords", "words", "characters")
    learned = tuple(
        learn_tokenizer(SENTENCES, TokenizerSection(kind=kind, vocab_size=64, lowercase=lowercase))
        for kind in kinds
        for lowercase in (False, True)
    )
    return (*learned, Characters("abc ñoi\u0307", lowercase=True))


def read(data: bytes) -> None:
    """Two bytes that say where it is cut, then the text."""
    text = data[2:].decode("utf-8", "surrogatepass" if data[:1] == b"\xff" else "replace")
    ends = sorted(len(text) * byte // 255 for byte in data[:2])
    pieces = [text[start:end] for start, end in pairwise((0, *ends, len(text)))]
    for tokenizer in tokenizers():
        feeder = tokenizer.feeder()
        ids = []
        for piece in pieces:
            ids += feeder.feed(piece)
            feeder = tokenizer.feeder(feeder.state())
        assert ids + feeder.finish() == tokenizer.encode(text), "tokens depend on the cuts"
        assert len(tokenizer.spans(text)) == len(tokenizer.encode(text))
    for cut in ("marks", "edges"):
        words = WordFeeder(cut)
        found = [word for piece in pieces for word in words.feed(piece)] + words.finish()
        assert found == words_of(text, cut), "words depend on the cuts"
        assert all(text[word.start : word.end] == word.text for word in found)
        ids, last = subwords_of(tokenizers()[0], [word.text for word in found])
        assert len(last) == len(found)
        assert not last or last[-1] == len(ids) - 1


def seeds() -> Iterator[bytes]:
    yield b"@\x80" + "uno dos  tres\u2581ab İa\u0301 don't U.S.-based, café\u3000漢字".encode()
    yield b"\xff\x80a \xed\xa0\x80"


TARGET = Target(
    "texts",
    read,
    seeds,
    refusals=(InvalidInput, UnicodeDecodeError),
    max_bytes=256,
    words=tuple(
        each.encode() for each in ("\u2581", "İ", "\u2028", "\x85", "\u0301", "’", "<s>", "\x1c", "ﬀ")
    ),
)
