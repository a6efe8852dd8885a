"""What a session says to what it was fed; each kind of model fills its own part."""

from dataclasses import dataclass

from service.client.results import Hypothesis, LabelScore, ModelVersion, Token


@dataclass(frozen=True, slots=True)
class TaggedWord:
    """A word and its label; it stands at the characters from `start` up to `end` of what was given."""

    word: str
    label: str
    probability: float
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Span:
    """Neighbouring words that belong together."""

    label: str
    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Tagging:
    """The words of one text with their labels."""

    words: tuple[TaggedWord, ...]
    spans: tuple[Span, ...]
    """What labels of neighbouring words say together; none where labels do not begin with B- and I-."""
    labels: tuple[LabelScore, ...]
    """Of the whole text, most probable first, where the model labels it, too."""
    model: ModelVersion
    num_tokens: int

    @property
    def label(self) -> str:
        """The most probable label of the whole text; empty where there is none."""
        return self.labels[0].label if self.labels else ""


@dataclass(frozen=True, slots=True)
class KeptWord:
    """A word of a text, whether it stays in the summary, and how probable that is."""

    word: str
    kept: bool
    probability: float


@dataclass(frozen=True, slots=True)
class Summary:
    """The summary of one text."""

    text: str
    model: ModelVersion
    words: tuple[KeptWord, ...] = ()
    """Of a model that leaves words out: every word of the text."""
    hypotheses: tuple[Hypothesis, ...] = ()
    """Of a model that writes: best first."""
    num_source_tokens: int = 0

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class HeardToken:
    """A token that was heard."""

    piece: str
    """What it adds to the text."""
    seconds: float
    """When it was certain, from the beginning of the sound."""
    id: int


@dataclass(frozen=True, slots=True)
class PredictedStep:
    """What a model says to one reading."""

    labels: tuple[LabelScore, ...] = ()
    """Most probable first; of models that label."""
    forecast: tuple[float, ...] = ()
    """The reading that will come next; of models that forecast."""
    anomaly_score: float = 0.0
    """How far this reading is from the forecast for it, in standard deviations of the errors on the training data."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """A named tensor, its values row by row."""

    name: str
    shape: tuple[int, ...]
    values: tuple[float, ...] | tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Trace:
    """What one tensor inside the model was, input by input."""

    name: str
    """Such as `encoder_f_0`: the forget gate of the first layer."""
    units: tuple[int, ...]
    values: tuple[tuple[float, ...], ...]
    """For each input, each of the units."""


@dataclass(frozen=True, slots=True)
class Output:
    """What a session answers to a feed: where it stands now, and what the model says to what it was fed."""

    input_position: int
    """Inputs consumed since the session was opened."""
    output_position: int
    """Outputs emitted since the session was opened."""
    labels: tuple[LabelScore, ...] = ()
    """classify: of the text so far, most probable first; none while no whole word has come."""
    words: tuple[TaggedWord, ...] = ()
    """tag, and summarize by deletion: words that are whole now."""
    heard: tuple[HeardToken, ...] = ()
    """transcribe: what was heard in this feed."""
    steps: tuple[PredictedStep, ...] = ()
    """predict: one for each reading of this feed."""
    tensors: tuple[Tensor, ...] = ()
    """tensors: what the graph answered."""
    traces: tuple[Trace, ...] = ()
    """Where the session was opened with `inspect`."""
    tokens: tuple[Token, ...] = ()
    """Where it was opened with `wait_k`: what was written now."""
    hypotheses: tuple[Hypothesis, ...] = ()
    """The whole output, once its text has ended."""

    @property
    def written(self) -> str:
        """What was written now; all of it, joined, is the output."""
        return "".join(token.piece for token in self.tokens)

    @property
    def label(self) -> str:
        """The most probable label; empty while there is none."""
        return self.labels[0].label if self.labels else ""

    @property
    def probability(self) -> float:
        return self.labels[0].probability if self.labels else 0.0
