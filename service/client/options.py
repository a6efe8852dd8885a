"""The keyword arguments of the clients' methods, written down once. All may be left out."""

from collections.abc import Sequence
from typing import TypedDict


class Decoding(TypedDict, total=False):
    """How text is made. What is left out, or None, takes the model's own default (`Model.beam_size`, …)."""

    beam_size: int | None
    """Hypotheses kept side by side; 1 is greedy. Token streams are greedy unless this says otherwise."""
    num_hypotheses: int | None
    """How many finished hypotheses to return, best first; 1 to beam_size."""
    length_penalty: float | None
    """The exponent α of ((5 + length) / 6)^α (Wu et al. 2016, section 7)."""
    max_length: int | None
    """Longest output in tokens."""
    min_length: int | None
    """Shortest output in tokens before the end of the sentence may come."""
    coverage_penalty: float | None
    """β of the coverage penalty (Wu et al. 2016, section 7): what leaves out parts of the source is worth less."""
    repetition_penalty: float | None
    """Log-probabilities of tokens that were written before are multiplied by it; 1 is off."""
    no_repeat_ngram_size: int | None
    """No n-gram of so many tokens is written twice; 0 is off."""
    target_prefix: str | None
    """The output begins with this text."""
    sampling_topk: int | None
    """1 takes the best token, n draws from the n best, 0 from all. Left out where a seed, a temperature or a topp is
    given: 0, if the model would take the best."""
    sampling_topp: float | None
    """Drawn from the smallest set of tokens whose probabilities add up to this."""
    temperature: float | None
    """Below 1 what is probable is drawn more often, above 1 less often."""
    seed: int | None
    """The same seed draws the same; left out, the server chooses one: `Hypothesis.seed`."""
    stop: Sequence[str] | None
    """The output ends before the first of these texts."""
    return_attention: bool | None
    """Tokens carry what they looked at: `Token.attention`, `Translation.aligned`."""
    num_alternatives: int | None
    """Tokens carry so many others: `Token.alternatives`."""
    replace_unknowns: bool | None
    """Words that are not in the vocabulary are copied from the source."""


class Choice(TypedDict, total=False):
    """Which model: by name, by language pair, or the only one of its task."""

    model: str
    """A served name."""
    version: str
    """A served version; left out: the newest."""
    source: str
    """BCP 47, such as `es`."""
    target: str
    """BCP 47, such as `en`."""


class Manner(TypedDict, total=False):
    """How whole texts are taken."""

    truncate: bool
    """Cut a text that is too long for the model, which is an error otherwise."""
    timeout: float | None
    """Seconds for one request; left out, or None: the client's."""


class TranslateOptions(Choice, Decoding, Manner, total=False):
    """Everything that a translation can be told."""


class ScoreOptions(Choice, Manner, total=False):
    """Everything that a scoring can be told."""


class ClassifyOptions(Manner, total=False):
    """Everything that a classification can be told."""

    model: str
    """A served name; left out: the only classifier."""
    version: str
    """A served version; left out: the newest."""
    num_labels: int
    """How many labels to return, most probable first; 0 or left out: all."""


class TagOptions(Manner, total=False):
    """Everything that labelling words can be told."""

    model: str
    """A served name; left out: the only tagger."""
    version: str
    """A served version; left out: the newest."""


class GenerateOptions(Decoding, Manner, total=False):
    """Everything that going on with a prompt can be told."""

    model: str
    """A served name; left out: the only language model."""
    version: str
    """A served version; left out: the newest."""


class SummarizeOptions(Decoding, Manner, total=False):
    """Everything that a summary can be told; the options of decoding are for models that write."""

    model: str
    """A served name; left out: the only model that summarizes."""
    version: str
    """A served version; left out: the newest."""
    max_ratio: float
    """For models that leave words out: keep at most this share of the words. Left out, or 0: as the model finds."""


class SignalManner(TypedDict, total=False):
    """How sound or numbers are taken."""

    model: str
    """A served name; left out: the only one of its task."""
    version: str
    """A served version; left out: the newest."""
    timeout: float | None
    """Seconds for one request; left out, or None: the client's."""


class TranscribeOptions(SignalManner, total=False):
    """Everything that a transcription can be told."""

    beam_size: int | None
    """Texts kept side by side; left out: the likeliest label of each step, as in a session."""
    num_hypotheses: int | None
    """How many of them to return."""


class PredictOptions(SignalManner, total=False):
    """Everything that a prediction can be told."""

    horizon: int
    """How many readings to go on with after the last one; for models that forecast. Left out: none."""


class CaptionOptions(SignalManner, Decoding, total=False):
    """Everything that a description can be told."""


class SeveralOptions(Decoding, total=False):
    """Everything that a translation into several languages can be told."""

    source: str
    """Language code of the texts, where there are several models for a target."""
    truncate: bool
    """Cut a text that is too long instead of refusing it."""
    timeout: float | None
    """Seconds; left out, or None: the client's."""


class SessionOptions(Choice, total=False):
    """Everything that a session can be told when it is opened."""

    ttl_s: float | None
    """How long the server keeps it while no stream holds it."""
    durability: str
    """When it is written down: `every step` (an answer comes when it is in the server's store), `every 8 steps` (what
    came since is kept here and sent again), `none` (the session ends with its server). Left out: the server's."""
    inspect: Sequence[str] | None
    """Names of what to look at inside the model, such as `encoder_f_0`; empty: all there is. Left out: nothing."""
    inspect_units: Sequence[int] | None
    """Which units of it; left out: the first 16."""
    wait_k: int | None
    """Of a model that can write while its source comes in: the k-th next word of the output is written when so many
    words of the source are there. Left out: nothing is written before `generate`."""
    timeout: float | None
    """Seconds for each answer; left out, or None: the client's."""
