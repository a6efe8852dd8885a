"""Learning which words texts are made of."""

from collections import Counter
from collections.abc import Iterable

from tokenizers import Tokenizer as Pipeline
from tokenizers import decoders, models, normalizers, pre_tokenizers

from service.bundle.subwords import SPACE, Subwords
from service.bundle.tokenizer import SPECIALS
from training.config import TokenizerSection


def learn_words(texts: Iterable[str], section: TokenizerSection) -> Subwords:
    """At most `section.vocab_size` tokens: the words between white space that occur most often."""
    case = [normalizers.Lowercase()] if section.lowercase else []
    normalizer = normalizers.Sequence([normalizers.NFC(), *case, normalizers.Strip()])
    splitter = pre_tokenizers.Sequence(
        [
            pre_tokenizers.WhitespaceSplit(),
            pre_tokenizers.Metaspace(replacement=SPACE, prepend_scheme="always"),
        ]
    )
    counts = Counter(
        word for text in texts for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(text))
    )
    often = [word for word, count in counts.most_common() if count >= section.min_frequency]
    words = [*SPECIALS, *sorted(often[: section.vocab_size - len(SPECIALS)])]
    pipeline = Pipeline(
        models.WordLevel({word: token for token, word in enumerate(words)}, unk_token="<unk>")
    )
    pipeline.normalizer, pipeline.pre_tokenizer = normalizer, splitter
    pipeline.decoder = decoders.Metaspace(replacement=SPACE, prepend_scheme="always")
    return Subwords(pipeline)
