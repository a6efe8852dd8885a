"""Recipes of models that write down what is said: recordings with their texts, log-mel energies, CTC."""

from typing import Annotated, Literal

from pydantic import Field

from training.config.recipe import Recipe
from training.config.sections import (
    DataSection,
    EncoderSection,
    Fraction,
    Positive,
    Section,
    TokenizerSection,
)

Seconds = Annotated[float, Field(ge=0)]
Factor = Annotated[float, Field(ge=1, le=2)]
Decibels = Annotated[float, Field(ge=0, le=60)]


class RecordedData(DataSection):
    """Recordings (16-bit WAVE files of one sample rate) and what is said in them."""

    format: Literal["tsv", "digits"] = "tsv"
    """`tsv`: a WAVE file, relative to the list's folder, and its text a line; `digits`: folders of
    `{digit}_{speaker}_{index}.wav`, single digits that are joined to strings of one speaker, other ones each epoch."""
    max_seconds: Seconds = 30.0
    """Training recordings that are longer are left out."""
    test_indexes: Annotated[int, Field(ge=0)] = 5
    """Digits: recordings with an index below are for tests alone."""
    dev_indexes: Positive = 5
    """Digits: so many indexes after those are for dev alone."""
    leave_out: str = ""
    """Digits: a speaker who is in neither train nor dev, so that tests can show how strangers are understood."""
    num_strings: Positive = 4000
    """Digits: strings in an epoch."""
    dev_strings: Positive = 300
    """Digits: strings of dev, and of the test."""
    shortest: Positive = 3
    """Digits: in a string."""
    longest: Positive = 7
    """Digits: in a string."""
    gap_seconds: tuple[Seconds, Seconds] = (0.0, 0.4)
    """Digits: silence before, between and after them, at least and at most."""


class SoundSection(Section):
    """How sound becomes what the model reads."""

    sample_rate: Positive = 16_000
    """Samples per second of all recordings, and of what will be heard."""
    frame_ms: Annotated[float, Field(gt=0)] = 25.0
    """Length of a frame."""
    step_ms: Annotated[float, Field(gt=0)] = 10.0
    """From the beginning of a frame to that of the next."""
    mel_bands: Positive = 40
    """Energies of a frame."""
    stack: Positive = 3
    """Frames that are read as one."""
    tail_ms: Annotated[float, Field(ge=0)] = 200.0
    """Silence added to the end, in which a one-way model says what it heard last."""


class VoicesSection(Section):
    """Changes of recordings while training, drawn anew for each of them in each epoch; as it stands there are none."""

    speed: Factor = 1.0
    """Played faster by this factor at most, and slower by as much: pitch, formants and tempo (Ko et al. 2015)."""
    throat: Factor = 1.0
    """Formants moved up and down by this factor at most (vocal tract length, Jaitly & Hinton 2013)."""
    gain_db: Decibels = 0.0
    """Louder and softer by so much at most."""
    colour_db: Decibels = 0.0
    """A microphone's curve over the bands: standard deviation of each of its waves."""
    hum_db: Annotated[float, Field(ge=-110, le=0)] = -110.0
    """White noise, relative to full scale, at most; -110 is none."""
    masks: Annotated[int, Field(ge=0)] = 0
    """How often bands, and stretches of time, are hidden (SpecAugment, Park et al. 2019)."""
    masked_bands: Annotated[int, Field(ge=0)] = 8
    """Bands that a mask hides at most."""
    masked_units: Annotated[int, Field(ge=0)] = 8
    """Units of time that a mask hides at most."""


class StepwiseSection(Section):
    """A recurrent stack over features, and a linear layer on each of its outputs."""

    dropout: Fraction = 0.2
    """Between layers, and on the outputs."""
    noise: Annotated[float, Field(ge=0)] = 0.0
    """Standard deviation of what is added to scaled features while training."""
    encoder: EncoderSection = EncoderSection()
    """What reads the features."""


class TranscriptionRecipe(Recipe):
    """A recipe with `task = "transcribe"`."""

    scores = ("words_right",)

    task: Literal["transcribe"]
    """What the model does."""
    target: str
    """Language code of what is said."""
    data: RecordedData
    """What to learn from."""
    sound: SoundSection = SoundSection()
    """How sound becomes features."""
    voices: VoicesSection = VoicesSection()
    """How recordings are changed while training."""
    tokenizer: TokenizerSection = TokenizerSection(kind="characters", lowercase=True)
    """How texts become tokens."""
    model: StepwiseSection = StepwiseSection()
    """What to train."""
