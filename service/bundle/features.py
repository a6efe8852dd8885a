"""What a model's input is where it is not text: the content of `features.json`, for training and for serving."""

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter, ValidationError, model_validator

from service.bundle.manifest import Part
from service.errors import InvalidInput

LARGEST, LEAST = 1e30, 1e-30
"""Of numbers that single precision can still divide by one another."""
Number = Annotated[float, Field(ge=-LARGEST, le=LARGEST)]
Numbers = tuple[Number, ...]
Positives = tuple[Annotated[float, Field(ge=LEAST, le=LARGEST)], ...]
Rate = Annotated[int, Field(ge=1, le=1_000_000)]
Samples = Annotated[int, Field(ge=1, le=65_536)]
Count = Annotated[int, Field(ge=1, le=1024)]
"""Sound of more than this is none; and what a file says must not decide how much memory reading it takes."""


class ReadingsSpec(Part):
    """Readings of named numbers, and how they are brought to a common size (see `service.bundle.scaling`)."""

    kind: Literal["readings"] = "readings"
    names: Annotated[tuple[str, ...], Field(min_length=1)]
    """What each number of a reading is."""
    scaling: Literal["fixed", "running", "recent"] = "fixed"
    """fixed: by `mean` and `scale`; running: by the mean and deviation of the series itself up to each reading; recent:
    as distances from means of its recent past, by `scale`."""
    half_lives: Annotated[Positives, Field(max_length=16)] = ()
    """recent: for each such mean the number of readings after which it has forgotten half of what it knew."""
    mean: Numbers = ()
    """Of the training data."""
    scale: Positives = ()
    """Standard deviations of the training data; recent: of the distances, one mean's after the other's."""
    error_scale: Positives = ()
    """Of a model that forecasts: standard deviations of its errors on the training data, in scaled units."""

    @property
    def dim(self) -> int:
        """Numbers in what the model reads."""
        return len(self.names) * max(1, len(self.half_lives))

    @property
    def reading_dim(self) -> int:
        """Numbers in a reading, as it is given."""
        return len(self.names)

    @model_validator(mode="after")
    def _sizes_fit(self) -> "ReadingsSpec":
        if (self.scaling == "recent") != bool(self.half_lives):
            raise ValueError("recent scaling needs half_lives, and no other has any")
        num_means = self.dim if self.scaling == "fixed" else 0
        num_scales = 0 if self.scaling == "running" else self.dim
        num_errors = (0,) if self.scaling == "recent" else (0, self.dim)
        if (len(self.mean), len(self.scale)) != (num_means, num_scales) or len(
            self.error_scale
        ) not in num_errors:
            raise ValueError("mean, scale and error_scale need a number for each name")
        return self


class SoundSpec(Part):
    """Sound as log-mel energies (see `service.bundle.sound`); lengths in samples."""

    kind: Literal["sound"] = "sound"
    sample_rate: Rate
    frame_length: Samples
    frame_step: Samples
    mel_bands: Count
    stack: Count = 1
    """Frames that the model reads as one."""
    tail: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    """Silence added to the end of the input, so that a one-way model gets to say what it heard last."""
    mean: Numbers
    """Of each band over the training data."""
    scale: Positives
    """Their standard deviations."""

    @property
    def dim(self) -> int:
        """Numbers in what the model reads."""
        return self.mel_bands * self.stack

    @model_validator(mode="after")
    def _sizes_fit(self) -> "SoundSpec":
        if (len(self.mean), len(self.scale)) != (self.mel_bands, self.mel_bands):
            raise ValueError("mean and scale need a number for each band")
        if self.frame_step > self.frame_length:
            raise ValueError("frames must not leave samples out: frame_step is longer than frame_length")
        return self


FeatureSpec = ReadingsSpec | SoundSpec
_ADAPTER: TypeAdapter[FeatureSpec] = TypeAdapter(Annotated[FeatureSpec, Field(discriminator="kind")])


def parse_features(text: str | bytes) -> FeatureSpec:
    """The spec that a `features.json` holds; InvalidInput says what is wrong."""
    try:
        return _ADAPTER.validate_json(text)
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
        raise InvalidInput(f"not a description of features: {faults}") from None


def features_json(spec: FeatureSpec) -> str:
    """The text of its `features.json`."""
    return spec.model_dump_json(indent=1) + "\n"
