"""Recordings: WAVE files, and raw samples as they come at stdin; and what the model is given of them, however cut."""

import io
import os
import wave
from collections.abc import Iterator

import numpy as np

from seqserve.v1 import input_pb2
from service.api.input_converters import audio_from_proto
from service.bundle.features import SoundSpec
from service.bundle.sound import Framer, mel_of
from service.cli.microphone import Microphone
from service.cli.stop import Stop
from service.errors import InvalidInput
from tests.fuzz.target import Target

SPEC = SoundSpec(
    sample_rate=8000,
    frame_length=20,
    frame_step=8,
    mel_bands=3,
    stack=2,
    tail=9,
    mean=(0,) * 3,
    scale=(1,) * 3,
)
MEL = mel_of(SPEC)


def read(data: bytes) -> None:
    """The first byte says where the sound is cut; a WAVE file, or samples."""
    cut, data = data[:1], data[1:]
    if not data.startswith(b"RIFF"):
        audio = input_pb2.Audio(pcm=input_pb2.Pcm(samples=data, sample_rate=8000))
    else:
        audio = input_pb2.Audio(wav=data)
        _listen(data)
    sound = audio_from_proto(audio, "recordings[0]")
    assert sound.samples.dtype == np.int16
    assert sound.sample_rate >= 0
    at = len(sound.samples) * (cut[0] if cut else 0) // 255
    framer = Framer(SPEC, MEL)
    pieces = [framer.take(sound.samples[:at]), framer.take(sound.samples[at:]), framer.finish()]
    whole = Framer.whole(SPEC, sound.samples, MEL)
    assert np.concatenate(pieces).tobytes() == whole.tobytes(), "the cut can be heard"
    assert np.isfinite(whole).all()


def _listen(data: bytes) -> None:
    """The same at stdin."""
    reads, writes = os.pipe()
    try:
        os.write(writes, data)
        os.close(writes)
        assert all(len(chunk) % 2 == 0 for chunk in Microphone(reads, 8000).chunks())
    except Stop:
        pass
    finally:
        os.close(reads)


def seeds() -> Iterator[bytes]:
    samples = (8000 * np.sin(np.arange(160) / 3)).astype("<i2").tobytes()
    yield b"\x80" + samples
    for channels in (1, 2):
        file = io.BytesIO()
        with wave.open(file, "wb") as writer:
            writer.setparams((channels, 2, 8000, 0, "NONE", ""))
            writer.writeframes(samples)
        yield b"\x10" + file.getvalue()


TARGET = Target(
    "recordings",
    read,
    seeds,
    refusals=(InvalidInput,),
    max_bytes=1024,
    words=(
        b"RIFF",
        b"WAVE",
        b"fmt ",
        b"data",
        b"LIST",
        b"\xfe\xff",
        b"\xff\xff\xff\xff",
        b"\xff\xff\xff\x7f",
        b"\0\0\0\0",
    ),
)
