"""What the client hands out: plain frozen dataclasses, so that nobody has to know the wire."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Alternative:
    """A token that was not written, and what it would have added to the text."""

    piece: str
    id: int
    log_prob: float


@dataclass(frozen=True, slots=True)
class Token:
    """One token of output."""

    piece: str
    """What it adds to the text; all pieces joined are the whole text."""
    id: int
    """Its id in the model's vocabulary."""
    log_prob: float
    """Its natural log-probability given what came before."""
    attention: tuple[float, ...] = ()
    """How much it looked at each source token, the end of the sentence last; with `return_attention`."""
    alternatives: tuple[Alternative, ...] = ()
    """What might have come instead, most probable first; with `num_alternatives`."""


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """One whole output."""

    text: str
    score: float
    """Sum of log-probabilities divided by the length penalty; what hypotheses are ranked by."""
    tokens: tuple[Token, ...]
    finish_reason: str
    """`end`: the model ended the sentence; `length`: max_length was reached; `stop`: a stop text came."""
    seed: int = 0
    """What its tokens were drawn with, where they were drawn."""


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """The model version that answered."""

    name: str
    version: str

    def __str__(self) -> str:
        return f"{self.name}/{self.version}"


@dataclass(frozen=True, slots=True)
class Translation:
    """The translation of one text. `text`, `score`, `tokens` and `finish_reason` are the best hypothesis's."""

    hypotheses: tuple[Hypothesis, ...]
    """Best first; as many as `num_hypotheses` asked for."""
    model: ModelVersion
    num_source_tokens: int = 0
    """Length of the text as the model read it; 0 where the text was streamed."""
    source_pieces: tuple[str, ...] = ()
    """What of the source each number of `Token.attention` belongs to; with `return_attention`."""

    @property
    def aligned(self) -> tuple[tuple[Token, str, float], ...]:
        """Each token with the piece of the source that it looked at most, and how much; with `return_attention`."""
        return tuple(
            (token, *max(zip(self.source_pieces, token.attention, strict=True), key=lambda pair: pair[1]))
            for token in self.tokens
            if token.attention
        )

    @property
    def seed(self) -> int:
        return self.hypotheses[0].seed

    @property
    def text(self) -> str:
        return self.hypotheses[0].text

    @property
    def score(self) -> float:
        return self.hypotheses[0].score

    @property
    def tokens(self) -> tuple[Token, ...]:
        return self.hypotheses[0].tokens

    @property
    def finish_reason(self) -> str:
        return self.hypotheses[0].finish_reason

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Generation:
    """How one prompt goes on, without the prompt. `text`, `score`, … are the best hypothesis's."""

    hypotheses: tuple[Hypothesis, ...]
    """Best first; as many as `num_hypotheses` asked for."""
    model: ModelVersion
    num_prompt_tokens: int = 0

    @property
    def text(self) -> str:
        return self.hypotheses[0].text

    @property
    def score(self) -> float:
        return self.hypotheses[0].score

    @property
    def tokens(self) -> tuple[Token, ...]:
        return self.hypotheses[0].tokens

    @property
    def finish_reason(self) -> str:
        return self.hypotheses[0].finish_reason

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Score:
    """How probable a given output is."""

    tokens: tuple[Token, ...]
    """The end of the sentence last, where the model writes one."""
    log_prob: float
    """Of the whole output; natural."""
    model: ModelVersion


@dataclass(frozen=True, slots=True)
class LabelScore:
    """A label and its probability."""

    label: str
    probability: float


@dataclass(frozen=True, slots=True)
class Classification:
    """The labels of one text, most probable first."""

    labels: tuple[LabelScore, ...]
    model: ModelVersion
    num_tokens: int

    @property
    def label(self) -> str:
        return self.labels[0].label

    @property
    def probability(self) -> float:
        return self.labels[0].probability

    def __str__(self) -> str:
        return self.label


@dataclass(frozen=True, slots=True)
class Ticket:
    """A session as sealed bytes: any server that has the key can go on from it, whatever became of the first."""

    data: bytes
    expires: datetime

    def __repr__(self) -> str:
        return f"Ticket({len(self.data)} bytes, expires={self.expires:%Y-%m-%d %H:%M:%S} UTC)"


@dataclass(frozen=True, slots=True)
class SessionInfo:
    """A session that a server, or its store, has."""

    session_id: str
    model: ModelVersion
    tier: str
    """`active`: held by a stream; `idle`: in the server's memory; `cold`: in the store only."""
    input_position: int
    output_position: int
    num_turns: int
    durable_turn: int
    """Every turn below it is in the store."""
    durability: str
    """`none`, `every step`, `every 8 steps`."""
    expires: datetime
    state_bytes: int


@dataclass(frozen=True, slots=True)
class Translations:
    """Texts in several languages."""

    by_target: dict[str, list[Translation]]
    """Language code → translations, in the order of the texts."""
    num_readings: int
    """How many texts were read: as many as there are texts, where the models have one encoder."""

    def __getitem__(self, target: str) -> list[Translation]:
        return self.by_target[target]


@dataclass(frozen=True, slots=True)
class Model:
    """A model version that is served."""

    name: str
    version: str
    task: str
    """`translate`, `classify`, `tag`, …"""
    description: str
    source_language: str
    """BCP 47, such as `es`."""
    target_language: str
    precision: str
    num_parameters: int
    size_bytes: int
    """On disk."""
    streams: bool
    """Whether input can be fed piece by piece in a session."""
    why_not_streaming: str
    labels: tuple[str, ...]
    vocabulary_size: int
    max_input_tokens: int
    max_output_tokens: int
    beam_size: int
    """What `beam_size`, `length_penalty` and `max_length` are where a request leaves them out."""
    length_penalty: float
    max_length: int
    sampling_topk: int = 1
    sampling_topp: float = 1.0
    temperature: float = 1.0
    repetition_penalty: float = 1.0
    input_kind: str = "text"
    """What it can be fed: `text`, `audio`, `features` or `tensors`."""
    sample_rate: int = 0
    """Of the audio, samples per second."""
    feature_names: tuple[str, ...] = ()
    """Of the features: what each number of a reading is."""
    simultaneous: bool = False
    """Whether it can write while the source comes in."""
    text_labels: tuple[str, ...] = ()
    """Of whole texts, where `labels` are those of words."""
    inspectable: bool = False
    """Whether a session can be opened with `inspect`."""
    measure: str = ""
    """What its outputs are measured by, where it is not what its task is measured by."""
