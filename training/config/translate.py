"""Recipes of translators: sentence pairs, an encoder and a decoder."""

from typing import Literal, Self

from pydantic import model_validator

from training.config.recipe import TextRecipe
from training.config.sections import (
    DataSection,
    DecoderSection,
    EncoderSection,
    ExportSection,
    Fraction,
    Positive,
    Section,
)


class PairData(DataSection):
    """Sentence pairs."""

    format: Literal["tsv", "parallel", "jsonl", "datasets"] = "tsv"
    """`tsv`: a pair a line; `parallel`: a file per language, its name written with `{language}`; `jsonl`: an object a
    line, its fields the languages; `datasets`: sets of the Hugging Face Hub ("wmt16/de-en#train") or local files
    ("parquet:pairs.parquet"), by the library of that name."""
    columns: tuple[str, ...] = ()
    """The language of each TSV column, left to right; of `datasets`, of each of the `fields`."""
    fields: tuple[str, ...] = ()
    """Of `datasets`: where each of the columns is, such as "translation.en"; left out: under its language."""
    max_length: Positive = 60
    """Training pairs with more subwords than this on either side are left out."""


class SimultaneousSection(Section):
    """Training for writing while the source still comes in (wait-k, Ma et al. 2019), one model for all k."""

    waits: tuple[Positive, Positive] = (1, 10)
    """k is drawn evenly between these for each batch (Elbayad et al. 2020 §3); the last one is the whole source."""
    dev_wait: Positive = 3
    """The k of the dev loss."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.waits[0] > self.waits[1]:
            raise ValueError(f"waits go from the shortest to the longest, not {self.waits}")
        return self


class SharedSection(Section):
    """An encoder that serves several decoders: what it gives knows nothing of who writes from it."""

    encoder_of: str = ""
    """The run whose encoder and tokenizer are taken, in the folder beside this one; its encoder is not trained any
    more. Empty: this run's encoder is trained, and may be taken by others."""
    version: str = "1"
    """Of that run's bundle, whose graph `encode` this one's bundle names instead of having its own."""


class Seq2SeqSection(Section):
    """An encoder, a decoder and what they share."""

    embedding: Positive = 256
    """Size of a subword's vector, and of the readout that is compared with it."""
    tied: Literal["all", "output", "none"] = "all"
    """Which of the source, target and output matrices are one."""
    dropout: Fraction = 0.3
    """On embeddings, between layers, and on the readout."""
    token_dropout: Fraction = 0.0
    """Share of source subwords shown as unknown while training."""
    encoder: EncoderSection = EncoderSection()
    """What reads the source."""
    decoder: DecoderSection = DecoderSection()
    """What writes the target."""

    @model_validator(mode="after")
    def _reaches_the_decoder(self) -> Self:
        if self.decoder.first_state == "zero" and self.decoder.attention == "none":
            raise ValueError("a decoder without attention knows the source from its first state: not zero")
        return self

    @model_validator(mode="after")
    def _can_be_compared(self) -> Self:
        size = self.encoder.hidden * (1 + self.encoder.bidirectional)
        if self.decoder.attention == "luong-dot" and size != self.decoder.hidden:
            raise ValueError(
                f"luong-dot compares decoder.hidden, {self.decoder.hidden}, with the encoder's outputs, {size}: "
                "make them one size, or take luong"
            )
        return self


class TranslationExportSection(ExportSection):
    """What the bundle of a translator says."""

    measure: Literal["", "exact"] = ""
    """Of `seqserve evaluate`, where BLEU is not what counts: exact, whole outputs are right or wrong."""


class TranslationRecipe(TextRecipe):
    """A recipe with `task = "translate"`."""

    scores = ("bleu",)
    agrees = True

    task: Literal["translate"]
    """What the model does."""
    target: str
    """Language code of what the model writes."""
    data: PairData
    """What to learn from."""
    model: Seq2SeqSection = Seq2SeqSection()
    """What to train."""
    simultaneous: SimultaneousSection | None = None
    """Present: the model learns to write while the source still comes in."""
    export: TranslationExportSection = TranslationExportSection()
    """What its bundle says."""
    shared: SharedSection | None = None
    """Present: the encoder is, or can be, that of several models."""

    @model_validator(mode="after")
    def _can_be_shared(self) -> Self:
        if self.shared is not None:
            model = self.model
            wrong = [
                *(['tied = "output"'] if model.tied == "all" else []),
                *(['decoder.first_state = "zero"'] if model.decoder.first_state != "zero" else []),
                *(['decoder.attention = "luong"'] if model.decoder.attention != "luong" else []),
            ]
            if wrong:
                raise ValueError(f"an encoder that is shared wants {', '.join(wrong)}")
        return self

    @model_validator(mode="after")
    def _can_be_simultaneous(self) -> Self:
        if self.simultaneous is not None:
            model = self.model
            wrong = [
                *(["encoder.bidirectional = false"] if model.encoder.bidirectional else []),
                *(['decoder.first_state = "zero"'] if model.decoder.first_state != "zero" else []),
                *(["a luong attention"] if not model.decoder.attention.startswith("luong") else []),
                *(['tokenizer.kind = "subwords"'] if self.tokenizer.kind != "subwords" else []),
            ]
            if wrong:
                raise ValueError(f"writing while the source comes in wants {', '.join(wrong)}")
        return self
