"""A recipe: one TOML file that says everything about a training run except where its data lie."""

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from service.errors import SeqserveError

Fraction = Annotated[float, Field(ge=0, lt=1)]
Positive = Annotated[int, Field(ge=1)]
Files = Annotated[tuple[str, ...], Field(min_length=1)]

Cell = Literal["rnn", "lstm", "gru"]
Attention = Literal["none", "luong", "bahdanau"]


class RecipeError(SeqserveError):
    """A recipe that cannot be used; the message names each wrong key and what would be right."""


class Section(BaseModel):
    """A table of a recipe: frozen, and strict about its keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class PairData(Section):
    """Sentence pairs."""

    format: Literal["tsv", "parallel"] = "tsv"
    """`tsv`: a pair a line; `parallel`: a file per language, its name written with `{language}`."""
    columns: tuple[str, ...] = ()
    """The language of each TSV column, left to right."""
    train: Files
    """Files to learn from, relative to the data folder."""
    dev: Files
    """Files to select on: learning rate, early stopping, the best checkpoints."""
    max_length: Positive = 60
    """Training pairs with more subwords than this on either side are left out."""


class LabelledData(Section):
    """Texts with a label each."""

    format: Literal["tsv", "jsonl"] = "tsv"
    """`tsv`: columns; `jsonl`: an object a line."""
    columns: tuple[str, ...] = ("label", "text")
    """The field in each TSV column, left to right."""
    label: str = "label"
    """The field that holds the label."""
    text: str = "text"
    """The field that holds the text, or its list of words."""
    train: Files
    """Files to learn from, relative to the data folder."""
    dev: Files
    """Files to select on."""
    max_length: Positive = 100
    """Training texts with more subwords than this are left out."""


class TokenizerSection(Section):
    """The subword tokenizer, learned from the training texts."""

    vocab_size: Annotated[int, Field(ge=8, le=100_000)] = 6000
    """Subwords, the four special ones included."""
    min_frequency: Positive = 2
    """Rarer pairs of subwords are not merged."""
    lowercase: bool = False
    """Lowercase every text, in training and in serving."""


class EncoderSection(Section):
    """A stack of recurrent layers over the embedded source."""

    cell: Cell = "lstm"
    """Kind of recurrence."""
    layers: Positive = 1
    """Depth of the stack."""
    hidden: Positive = 256
    """Units per layer and direction."""
    bidirectional: bool = False
    """Read both ways; such an encoder cannot stream."""


class DecoderSection(Section):
    """A stack of one-way recurrent layers that writes the target."""

    cell: Cell = "lstm"
    """Kind of recurrence."""
    layers: Positive = 1
    """Depth of the stack."""
    hidden: Positive = 512
    """Units per layer."""
    attention: Attention = "luong"
    """How the decoder looks at the source."""


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


class ClassifierSection(Section):
    """An encoder, a pooling over time, and a linear layer."""

    embedding: Positive = 128
    """Size of a subword's vector."""
    pooling: Literal["last", "max"] = "last"
    """`last`: the final state; `max`: each unit's maximum over the positions."""
    dropout: Fraction = 0.3
    """On embeddings, between layers, and on the pooled vector."""
    token_dropout: Fraction = 0.0
    """Share of subwords shown as unknown while training."""
    encoder: EncoderSection = EncoderSection()
    """What reads the text."""


class TrainingSection(Section):
    """How the loop runs."""

    batch_tokens: Positive = 1500
    """Positions of the longer side in a batch, padding included."""
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 1e-3
    """Of Adam, after the warm-up."""
    betas: tuple[Fraction, Fraction] = (0.9, 0.98)
    """Of Adam."""
    warmup_steps: Annotated[int, Field(ge=0)] = 400
    """Updates over which the rate rises from zero."""
    decay_start: Annotated[float, Field(ge=0, le=1)] = 0.4
    """Share of the budget (epochs or minutes) after which the rate falls linearly."""
    final_rate: Annotated[float, Field(ge=0, le=1)] = 0.02
    """What is left of the rate at the end of the budget."""
    plateau_patience: Positive = 2
    """Evaluations without a better dev loss before the rate is cut."""
    plateau_factor: Annotated[float, Field(gt=0, le=1)] = 0.5
    """What is left of the rate after a cut."""
    patience: Positive = 6
    """Evaluations without a better dev loss before training stops."""
    label_smoothing: Fraction = 0.1
    """Probability spread evenly over the vocabulary."""
    clip_norm: Annotated[float, Field(gt=0)] = 1.0
    """Upper bound of the gradient's norm."""
    max_epochs: Positive = 20
    """Budget in passes over the data."""
    max_minutes: Annotated[float, Field(gt=0)] | None = None
    """Budget in minutes of training, resumed runs added up; a run with one depends on the machine's speed."""
    save_minutes: Annotated[float, Field(ge=0)] = 3.0
    """Time between two resumable checkpoints."""
    keep_best: Positive = 4
    """Checkpoints to keep and to average."""
    bf16: bool = True
    """Compute the forward pass in bfloat16 where that is safe; weights stay float32."""
    threads: Positive = 1
    """CPU threads per process."""
    score_examples: Annotated[int, Field(ge=0)] = 300
    """Dev pairs translated greedily for BLEU at each evaluation."""


class ExportSection(Section):
    """What the bundle says; nothing here changes the training."""

    version: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")] = "1"
    """Version of the bundle."""
    precision: Literal["fp32", "int8"] = "int8"
    """How the graphs multiply by weights."""
    max_loss: Annotated[float, Field(ge=0)] = 0.1
    """BLEU, or percent of right labels, that int8 may lose on dev against fp32; past it no bundle is written."""
    gate_examples: Positive = 4000
    """Most dev examples that this is measured on, evenly spaced."""
    beam_size: Annotated[int, Field(ge=1, le=16)] = 1
    """Default of requests."""
    length_penalty: Annotated[float, Field(ge=0, le=5)] = 1.0
    """Default of requests: the α of Wu et al. 2016 §7."""
    max_length: Positive = 256
    """Longest output, in tokens."""
    max_input_tokens: Positive = 512
    """Longest text of a request, in tokens."""
    description: str = ""
    """For the card: a sentence or two about the model."""
    data: str = ""
    """For the card: what it was trained on, and the licence of that."""
    scores: str = ""
    """For the card: a table in Markdown, measured through a server."""
    failures: str = ""
    """For the card: where the model fails."""


class RecipeBase(Section):
    """What every recipe says."""

    name: str
    """Name of the model."""
    source: str
    """Language code of what the model reads."""
    seed: int = 1
    """Of initial weights, dropout and the order of batches."""
    tokenizer: TokenizerSection = TokenizerSection()
    """How text becomes subwords."""
    training: TrainingSection = TrainingSection()
    """How to train it."""
    export: ExportSection = ExportSection()
    """What its bundle says."""


class TranslationRecipe(RecipeBase):
    """A recipe with `task = "translate"`."""

    task: Literal["translate"]
    """What the model does."""
    target: str
    """Language code of what the model writes."""
    data: PairData
    """What to learn from."""
    model: Seq2SeqSection = Seq2SeqSection()
    """What to train."""


class ClassificationRecipe(RecipeBase):
    """A recipe with `task = "classify"`."""

    task: Literal["classify"]
    """What the model does."""
    data: LabelledData
    """What to learn from."""
    model: ClassifierSection = ClassifierSection()
    """What to train."""


Recipe = TranslationRecipe | ClassificationRecipe

RECIPES: dict[str, type[TranslationRecipe] | type[ClassificationRecipe]] = {
    "translate": TranslationRecipe,
    "classify": ClassificationRecipe,
}


def load_recipe(path: Path) -> Recipe:
    """Raises RecipeError for a file that is missing, is not TOML, or does not fit."""
    try:
        return parse_recipe(tomllib.loads(path.read_text("utf-8")), str(path))
    except OSError as error:
        raise RecipeError(f"{path}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: is not TOML: {error}") from error


def parse_recipe(tables: dict[str, Any], where: str = "recipe") -> Recipe:
    """The recipe that these tables hold; `where` begins the message of the error."""
    task = tables.get("task")
    if not isinstance(task, str) or task not in RECIPES:
        raise RecipeError(f"{where}: task is {task!r}; valid tasks: {', '.join(RECIPES)}")
    kind = RECIPES[task]
    try:
        return kind.model_validate(tables)
    except ValidationError as error:
        raise RecipeError("\n".join(f"{where}: {line}" for line in _complaints(kind, error))) from None


def _complaints(kind: type[Section], error: ValidationError) -> list[str]:
    return [_complaint(kind, item["loc"], item["type"], item["msg"]) for item in error.errors()]


def _complaint(kind: type[Section], place: tuple[int | str, ...], problem: str, message: str) -> str:
    key = ".".join(map(str, place))
    if problem != "extra_forbidden":
        return f"{key}: {message}"
    valid = ", ".join(_section(kind, place[:-1]).model_fields)
    return f"unknown key {key}; valid keys here: {valid}"


def _section(kind: type[Section], place: tuple[int | str, ...]) -> type[Section]:
    for key in place:
        annotation = kind.model_fields[str(key)].annotation
        choices = [annotation, *get_args(annotation)]
        kind = next(choice for choice in choices if isinstance(choice, type) and issubclass(choice, Section))
    return kind
