"""Learning a tokenizer, of whichever kind, from texts."""

from collections.abc import Callable, Iterable

from service.bundle.tokenizer import Tokenizer
from training.config import TokenizerSection
from training.data.characters import learn_characters
from training.data.subwords import learn_subwords
from training.data.words import learn_words

LEARNERS: dict[str, Callable[[Iterable[str], TokenizerSection], Tokenizer]] = {
    "subwords": learn_subwords,
    "characters": learn_characters,
    "words": learn_words,
}


def learn_tokenizer(texts: Iterable[str], section: TokenizerSection) -> Tokenizer:
    """A tokenizer with at most `section.vocab_size` tokens, the special ones first."""
    return LEARNERS[section.kind](texts, section)
