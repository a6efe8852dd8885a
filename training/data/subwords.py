"""Learning a subword tokenizer (byte pair encoding, Sennrich et al. 2016 §3.2) from texts."""

from collections.abc import Iterable

from tokenizers import Regex, decoders, models, normalizers, pre_tokenizers, trainers
from tokenizers import Tokenizer as Pipeline

from service.bundle.subwords import SPACE, WHITESPACE, Subwords
from service.bundle.tokenizer import SPECIALS
from training.config import TokenizerSection

WORD = r"[^▁\p{P}\p{S}\p{N}]+(?:['’][^▁\p{P}\p{S}\p{N}]+)*"
PARTS = rf"▁?\p{{N}}|▁?{WORD}|▁?[\p{{P}}\p{{S}}]|▁"
"""Digits and punctuation stand alone; a word keeps its apostrophes; the space stays with what follows it."""


def learn_subwords(texts: Iterable[str], section: TokenizerSection) -> Subwords:
    """A tokenizer with at most `section.vocab_size` subwords, the special ones first."""
    pipeline = Pipeline(models.BPE(unk_token="<unk>"))
    pipeline.normalizer = _normalizer(section.lowercase)
    pipeline.pre_tokenizer = _splitter()
    pipeline.decoder = decoders.Metaspace(replacement=SPACE, prepend_scheme="always")
    pipeline.train_from_iterator(texts, _trainer(section))
    return Subwords(pipeline)


def _normalizer(lowercase: bool) -> normalizers.Normalizer:
    steps = [normalizers.NFC(), normalizers.Lowercase()] if lowercase else [normalizers.NFC()]
    collapse = normalizers.Replace(Regex(f"[{WHITESPACE}]+"), " ")
    return normalizers.Sequence([*steps, collapse, normalizers.Strip()])


def _splitter() -> pre_tokenizers.PreTokenizer:
    spaces = pre_tokenizers.Metaspace(replacement=SPACE, prepend_scheme="always", split=False)
    return pre_tokenizers.Sequence([spaces, pre_tokenizers.Split(Regex(PARTS), behavior="isolated")])


def _trainer(section: TokenizerSection) -> trainers.BpeTrainer:
    return trainers.BpeTrainer(
        vocab_size=section.vocab_size,
        min_frequency=section.min_frequency,
        special_tokens=list(SPECIALS),
        show_progress=False,
    )
