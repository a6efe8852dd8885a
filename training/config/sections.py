"""Tables that recipes of several tasks have, and what all tables obey."""

from typing import Annotated, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, model_validator

Fraction = Annotated[float, Field(ge=0, lt=1)]
Positive = Annotated[int, Field(ge=1)]
Files = Annotated[tuple[str, ...], Field(min_length=1)]

Cell = Literal["rnn", "lstm", "gru", "mingru"]
Attention = Literal["none", "luong", "luong-dot", "luong-concat", "bahdanau"]


class Section(BaseModel):
    """A table of a recipe: frozen, and strict about its keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class DataSection(Section):
    """The examples: every task's `[data]` says how its files are read."""

    train: Files
    """Files to learn from, relative to the data folder."""
    dev: tuple[str, ...] = ()
    """Files to select on: learning rate, early stopping, the best checkpoints."""
    hold_out: Annotated[int, Field(ge=0)] = 0
    """Where there is no dev: about every so many-th text of train is dev instead, equal texts on one side."""

    @model_validator(mode="after")
    def _has_dev(self) -> Self:
        if bool(self.dev) == bool(self.hold_out):
            raise ValueError("wants either dev, or hold_out")
        return self


class TokenizerSection(Section):
    """The tokenizer, learned from the training texts."""

    kind: Literal["subwords", "characters", "words"] = "subwords"
    """`subwords`: words in pieces, white space as single spaces; `characters`: each one a token, line ends too;
    `words`: what stands between white space."""
    vocab_size: Annotated[int, Field(ge=8, le=100_000)] = 6000
    """Tokens, the four special ones included."""
    min_frequency: Positive = 2
    """Rarer pairs of subwords are not merged; rarer characters are unknown."""
    lowercase: bool = False
    """Lowercase every text, in training and in serving."""
    texts: tuple[str, ...] = ()
    """Files of text, a line each, that it is learned from beside the training texts: those of other languages, say."""
    dropout: Fraction = 0.0
    """Of merges, while training: a text is cut another way each time (BPE-dropout, Provilkov et al. 2020)."""


S = TypeVar("S", bound=Section)


def _with_recurrent_weights(section: S, cell: str, weight_dropout: float) -> S:
    if cell == "mingru" and weight_dropout:
        raise ValueError("mingru has no recurrent weights that weight_dropout could drop")
    return section


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
    residual: bool = False
    """Add to each layer's output its input, where both are of one size."""
    norm: bool = False
    """Layer normalisation of what goes into each layer."""
    variational: bool = False
    """One dropout mask for all positions of a sequence (Gal & Ghahramani 2016), on what goes into each layer."""
    weight_dropout: Fraction = 0.0
    """Share of the weights between h and the next h that a training pass is without (Merity et al. 2018)."""

    @model_validator(mode="after")
    def _has_weights_to_drop(self) -> Self:
        return _with_recurrent_weights(self, self.cell, self.weight_dropout)


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
    first_state: Literal["source", "zero"] = "source"
    """`source`: made from the encoder's last state; `zero`: the source comes in by attention alone."""
    residual: bool = False
    """Add to each layer's output its input, where both are of one size."""
    norm: bool = False
    """Layer normalisation of what goes into each layer."""
    variational: bool = False
    """One dropout mask for all positions of a sequence (Gal & Ghahramani 2016), on what goes into each layer."""
    weight_dropout: Fraction = 0.0
    """Share of the weights between h and the next h that a training pass is without (Merity et al. 2018)."""

    @model_validator(mode="after")
    def _has_weights_to_drop(self) -> Self:
        return _with_recurrent_weights(self, self.cell, self.weight_dropout)


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
    """Evaluations that are no better before the rate is cut."""
    plateau_factor: Annotated[float, Field(gt=0, le=1)] = 0.5
    """What is left of the rate after a cut."""
    patience: Positive = 6
    """Evaluations that are no better before training stops."""
    label_smoothing: Fraction = 0.1
    """Probability spread evenly over the vocabulary."""
    r_drop: Annotated[float, Field(ge=0)] = 0.0
    """Weight of how much two passes over a batch disagree, each without other units (R-Drop, Liang et al. 2021 §2.1);
    training takes twice as long. Of recipes that label texts or their words, translate or summarize."""
    ema: Fraction = 0.0
    """Decay of a moving average of the weights that is evaluated and kept in their place; 0: none."""
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
    keep_start: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of the weights that a run began with (`--start`) in those it ends with, so that fine-tuning forgets less
    (WiSE-FT, Wortsman et al. 2022 §3)."""
    select: str = "loss"
    """What tells which are the best, and when it gets no better: the dev loss, or a score that each epoch's line has
    (`bleu`, `rouge_2`, `accuracy`, `f1`, …)."""
    bf16: bool = True
    """Compute the forward pass in bfloat16 where that is safe, on a device that has instructions for it; weights stay
    float32."""
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
    traces: bool = False
    """Whether gates and cells can be looked at (`seqserve inspect`); costs each step some microseconds."""
    gate_examples: Positive = 4000
    """Most dev examples that this is measured on, evenly spaced."""
    beam_size: Annotated[int, Field(ge=1, le=16)] = 1
    """Default of requests."""
    length_penalty: Annotated[float, Field(ge=0, le=5)] = 1.0
    """Default of requests: the α of Wu et al. 2016 §7."""
    max_length: Positive = 256
    """Longest output, in tokens."""
    sampling_topk: Annotated[int, Field(ge=0, le=1000)] = 1
    """Default of requests: 1 takes the best token, n draws from the n best, 0 from all."""
    sampling_topp: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Default of requests that draw: from the smallest set of tokens whose probabilities add up to this."""
    temperature: Annotated[float, Field(gt=0, le=10)] = 1.0
    """Default of requests that draw."""
    repetition_penalty: Annotated[float, Field(ge=1, le=10)] = 1.0
    """Default of requests."""
    unknowns: bool = False
    """Translators may write the unknown token, for requests that have it replaced by a word of the source."""
    max_input_tokens: Positive = 512
    """Longest text of a request, in tokens."""
    description: str = ""
    """For the card: a sentence or two about the model."""
    use: str = ""
    """For the card: what it is meant for, and what not."""
    data: str = ""
    """For the card: what it was trained on, and the licence of that."""
    scores: str = ""
    """For the card: a table in Markdown, measured through a server."""
    failures: str = ""
    """For the card: where the model fails."""
