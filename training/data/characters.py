"""Learning which characters texts are made of."""

from collections import Counter
from collections.abc import Iterable

from service.bundle.characters import Characters
from service.bundle.tokenizer import SPECIALS
from training.config import TokenizerSection


def learn_characters(texts: Iterable[str], section: TokenizerSection) -> Characters:
    """At most `section.vocab_size` tokens: the characters that occur most often, by their code points."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update("".join(map(str.lower, text)) if section.lowercase else text)
    often = [char for char, count in counts.most_common() if count >= section.min_frequency]
    return Characters("".join(sorted(often[: section.vocab_size - len(SPECIALS)])), section.lowercase)
