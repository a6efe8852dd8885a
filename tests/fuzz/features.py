"""Files of features, and what is made of the sound or the readings that they describe."""

from collections.abc import Iterator

import numpy as np

from service.bundle.features import ReadingsSpec, SoundSpec, features_json, parse_features
from service.bundle.scaling import Scaler
from service.bundle.sound import Framer, heard_after
from service.errors import InvalidInput
from tests.fuzz.target import Target, json_words

READINGS = features_json(
    ReadingsSpec(names=("a", "b"), mean=(0.0, 1.0), scale=(1.0, 2.0), error_scale=(1, 1))
).encode()
RUNNING = features_json(ReadingsSpec(names=("a",), scaling="running")).encode()
RECENT = features_json(
    ReadingsSpec(names=("a",), scaling="recent", half_lives=(2, 9), scale=(1.0, 1.0))
).encode()
SOUND = features_json(
    SoundSpec(
        sample_rate=8000,
        frame_length=200,
        frame_step=80,
        mel_bands=4,
        stack=2,
        tail=100,
        mean=(-5.0,) * 4,
        scale=(3.0,) * 4,
    )
).encode()


def read(data: bytes) -> None:
    spec = parse_features(data)
    assert parse_features(features_json(spec)) == spec
    if isinstance(spec, SoundSpec):
        framer = Framer(spec)
        units = np.concatenate([framer.take(np.arange(500, dtype=np.int16)), framer.finish()])
        assert units.shape[1] == spec.dim
        assert np.isfinite(units).all()
        assert heard_after(spec, 1) > 0
    else:
        scaled = Scaler(spec).scale(np.arange(3 * spec.reading_dim, dtype=np.float32).reshape(3, -1)).values
        assert scaled.shape == (3, spec.dim)
        assert np.isfinite(scaled).all()


def seeds() -> Iterator[bytes]:
    yield from (READINGS, RUNNING, RECENT, SOUND)


TARGET = Target(
    "features",
    read,
    seeds,
    refusals=(InvalidInput,),
    max_bytes=2048,
    words=json_words(
        "kind", "mean", "scale", "names", "stack", "tail", "half_lives", "frame_length", "mel_bands"
    ),
)
