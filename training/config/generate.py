"""Recipes of language models: running text or dialogues, and a one-way recurrent stack that says what comes next."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from training.config.recipe import TextRecipe
from training.config.sections import DataSection, EncoderSection, Fraction, Positive, Section

Place = Annotated[float, Field(ge=0, le=1)]
Part = tuple[Place, Place]
WHOLE: Part = (0.0, 1.0)


class StreamedData(DataSection):
    """Text that is read in parallel streams, `training.batch_tokens` / `chunk` of them, chunk after chunk."""

    chunk: Positive = 128
    """Positions that gradients go back; the state goes on from chunk to chunk."""


class TextData(StreamedData):
    """Running text."""

    format: Literal["text", "lines"] = "text"
    """`text`: a file is one document without an end; `lines`: each line is one, with an end."""
    train_part: Part = WHOLE
    """Which part of each training file's documents, or of the characters of its only one: from and to, of 1."""
    dev_part: Part = WHOLE
    """The same of dev files."""
    test_part: Part = WHOLE
    """The same of the file that `seqserve evaluate` is given."""
    restart: Fraction = 0.02
    """Share of the chunks that begin anew, as a text does: without what came before them."""


class DialogueData(StreamedData):
    """Dialogues of two who take turns."""

    format: Literal["jsonl"] = "jsonl"
    """`jsonl`: an object a line."""
    turns: str = "turns"
    """The field that holds the list of turns, the user's first."""


class LanguageModelSection(Section):
    """An embedding, a one-way recurrent stack and a linear layer."""

    embedding: Positive = 64
    """Size of a token's vector."""
    dropout: Fraction = 0.2
    """On embeddings, between layers, and on what the linear layer reads."""
    token_dropout: Fraction = 0.0
    """Share of tokens shown as unknown while training."""
    tied: bool = False
    """Embedding and linear layer have one matrix (Press & Wolf 2017); `embedding` is then `encoder.hidden`."""
    encoder: EncoderSection = EncoderSection(layers=2, hidden=512)
    """What reads."""

    @model_validator(mode="after")
    def _can_be_built(self) -> Self:
        if self.encoder.bidirectional:
            raise ValueError("a language model reads one way: encoder.bidirectional = false")
        if self.tied and self.embedding != self.encoder.hidden:
            raise ValueError(f"tied = true wants embedding = encoder.hidden = {self.encoder.hidden}")
        return self


class LanguageModelRecipe(TextRecipe):
    """A recipe with `task = "generate"`."""

    task: Literal["generate"]
    """What the model does."""
    data: TextData
    """What to learn from."""
    model: LanguageModelSection = LanguageModelSection()
    """What to train."""


class ChatRecipe(TextRecipe):
    """A recipe with `task = "chat"`."""

    task: Literal["chat"]
    """What the model does."""
    data: DialogueData
    """What to learn from."""
    model: LanguageModelSection = LanguageModelSection()
    """What to train."""
