"""The word error rate of transcripts, the accuracy of labels on readings, the skill of forecasts."""

from collections.abc import Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any

from service.cli.measures.report import Asked, Measured, Watch
from service.cli.stop import Stop

PART = 64
"""Vectors of one request."""
WORDS = "words:levenshtein|case:mixed|marks:yes"
SKILL = "errors:squared|against:no change|step:1"

if TYPE_CHECKING:
    from service.client import Client, Model, Prediction, Transcription


def transcripts(client: "Client", model: "Model", asked: Asked) -> Measured:
    """Of a test set's recordings: a list of them, or the folder that the model's recipe makes its test of."""
    from service.client import Pcm
    from training.evaluate import of_words, read_test_recordings, word_error_rate

    watch = Watch(model, asked)
    said = read_test_recordings(asked.file, asked.recipe_of(model.name), model.sample_rate)[: asked.limit]

    def answers() -> "Iterator[Transcription]":
        for one in said:
            pcm = Pcm(one.samples.astype("<i2").tobytes(), model.sample_rate)
            yield client.transcribe(pcm, model=model.name, beam_size=asked.beam)

    found = watch.all(answers(), len(said))
    texts, wanted = [one.text for one in found], [one.text for one in said]
    exact = 100 * sum(a == b for a, b in zip(texts, wanted, strict=True)) / len(said)
    more = {"whole texts right, %": exact, "seconds of sound": sum(one.seconds for one in found)}
    rest: Any = {"examples": "recordings", "more": more, "beam_size": asked.beam}
    num_tokens = sum(len(one.tokens) for one in found)
    report = watch.report("WER", word_error_rate(texts, wanted), len(said), num_tokens, WORDS, **rest)
    return Measured(report, texts, of_words(texts, wanted))


def predictions(client: "Client", model: "Model", asked: Asked) -> Measured:
    """Of a file of readings: labels against its column of labels, or forecasts against the readings that followed."""
    from training.evaluate import of_forecasts, of_labels, read_test_series, score_labels

    watch = Watch(model, asked)
    series = read_test_series(asked.file, asked.recipe_of(model.name), model.feature_names, asked.label)
    if model.labels and not series.labels:
        raise Stop("a column of labels is needed: name it with --label")
    if model.labels and (unknown := sorted(set(series.labels) - set(model.labels))):
        raise Stop(f"the file's labels are {', '.join(unknown)}; the model's are {', '.join(model.labels)}")
    values = series.values[: asked.limit].tolist()

    def answers() -> "Iterator[Prediction]":
        yield client.predict(values, model=model.name)

    [found] = watch.all(answers(), 1)
    rest: Any = {"examples": "readings"}
    if model.labels:
        labels = [one.label for one in found.labels]
        wanted = series.labels[: asked.limit]
        report = watch.report(
            "accuracy", score_labels(labels, wanted), len(values), len(values), "labels:all", **rest
        )
        return Measured(report, labels, of_labels(labels, wanted))
    forecasts = [step.forecast for step in found.steps]
    answers_as_text = [" ".join(f"{number:g}" for number in one) for one in forecasts]
    evidence = of_forecasts(values, forecasts)
    report = watch.report("skill", evidence.whole, len(values), len(values), SKILL, **rest)
    return Measured(report, answers_as_text, evidence)


def captions(client: "Client", model: "Model", asked: Asked) -> Measured:
    """BLEU of a test set's descriptions, and how many are right to the letter."""
    from training.evaluate import of_translations, read_test_descriptions, score_translations

    watch = Watch(model, asked)
    described = read_test_descriptions(asked.file, asked.recipe_of(model.name))[: asked.limit]
    parts = [described[start : start + PART] for start in range(0, len(described), PART)]
    answers = (
        client.caption_many([one.vector.tolist() for one in part], model=model.name, beam_size=asked.beam)
        for part in parts
    )
    found = watch.all(chain.from_iterable(answers), len(described))
    texts, wanted = [one.text for one in found], [one.text for one in described]
    bleu = score_translations(texts, wanted)
    exact = 100 * sum(a == b for a, b in zip(texts, wanted, strict=True)) / len(texts)
    num_tokens = sum(len(one.hypotheses[0].tokens) for one in found)
    report = watch.report(
        "BLEU",
        bleu.score,
        len(texts),
        num_tokens,
        bleu.signature,
        examples="vectors",
        unit="",
        beam_size=asked.beam or model.beam_size,
        more={"whole texts right, %": exact},
    )
    return Measured(report, texts, of_translations(texts, wanted))
