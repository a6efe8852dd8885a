"""What models of sound and numbers are tried with: noise of a fixed seed, of another length each."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from service.registry import Served
from service.tasks.caption import Caption, caption
from service.tasks.decoding import DecodingOptions
from service.tasks.intake import Readings, Sound
from service.tasks.predict import Prediction, predict
from service.tasks.transcribe import Transcription, transcribe

SIGNALS = {"transcribe", "predict", "caption"}
"""Tasks whose models are tried here."""
SECONDS, READINGS, WORDS = 0.5, 24, 16
"""Of the first input and its answer; the others are longer."""


def signals(served: Served, number: int) -> list[Any]:
    """So many inputs."""
    rng = np.random.default_rng(0)
    if served.manifest.task == "transcribe":
        rate = served.bundle.sound.sample_rate
        lengths = [round(SECONDS * rate) + 37 * index for index in range(number)]
        return [Sound(rng.normal(0, 3000, length).astype(np.int16)) for length in lengths]
    spec = served.bundle.readings
    mean, scale = (
        np.array((given or [default] * spec.dim)[: spec.reading_dim])
        for given, default in ((spec.mean, 0), (spec.scale, 1))
    )
    lengths = [1 if served.manifest.task == "caption" else READINGS + index % 9 for index in range(number)]
    return [
        Readings((mean + scale * rng.normal(size=(length, spec.reading_dim))).astype(np.float32))
        for length in lengths
    ]


async def said_to(served: Served, given: Sequence[Any]) -> Sequence[Transcription | Prediction | Caption]:
    """The model's answers."""
    fields = ["sample"] * len(given)
    if served.manifest.task == "transcribe":
        return await transcribe(served, given, fields)
    if served.manifest.task == "predict":
        return [_comparable(one) for one in await predict(served, given, fields)]
    longest = min(WORDS, served.manifest.limits.max_output_tokens)
    options = DecodingOptions.of(served.manifest, beam_size=1, max_length=longest)
    return await caption(served, given, fields, options)


def in_words(answer: Any) -> str:
    """An answer as people read it."""
    if isinstance(answer, Transcription):
        return answer.text
    if isinstance(answer, Prediction):
        last = answer.steps[-1]
        return last.labels[0].label if last.labels else f"{last.forecast[0]:g}"
    return str(answer.hypotheses[0].text)


def num_steps(answer: Any) -> int:
    """Tokens heard or written, readings answered."""
    if isinstance(answer, Prediction):
        return len(answer.steps)
    return len(answer.tokens if isinstance(answer, Transcription) else answer.hypotheses[0].tokens)


def _comparable(found: Prediction) -> Prediction:
    """Without what no comparison tells to be equal: an array."""
    return Prediction(found.steps, ())  # type: ignore[arg-type]
