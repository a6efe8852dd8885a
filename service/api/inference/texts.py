"""Text in, text or labels out: the tasks of a model behind the input `text` of the Open Inference Protocol."""

from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import fields
from typing import Any

import numpy as np

from service.bundle.manifest import Manifest
from service.config import LimitSettings
from service.errors import InvalidInput
from service.registry import Served
from service.sessions import Session
from service.step import Array
from service.tasks.classify import classify
from service.tasks.conversation import Conversation
from service.tasks.decoding import DecodingOptions
from service.tasks.kinds import check_streams
from service.tasks.outputs import Hypothesis
from service.tasks.said import LabelScore
from service.tasks.texts import TooLong, tokens_of
from service.tasks.translate import translate

Options = Mapping[str, Any]
_KINDS = {field.name: field.type for field in fields(DecodingOptions) if field.type in (int, float, bool)}
NUM_LABELS = "num_labels"


async def answer_texts(
    served: Served, texts: Array, options: Options, limits: LimitSettings
) -> tuple[dict[str, Array], int]:
    """What the model's task makes of whole texts `[rows, 1]`, as tensors `[rows, columns]`, and how many tokens."""
    decoded = texts_of(texts)
    if served.manifest.task == "translate":
        chosen = _decoding_options(served.manifest, options)
        tokens = await tokens_of(decoded, served.bundle, limits, TooLong.REFUSE)
        translations = await translate(served, tokens, chosen)
        written = (len(found.tokens) for each in translations for found in each.hypotheses)
        num_tokens = sum(each.num_source_tokens for each in translations) + sum(written)
        return _of_hypotheses([translation.hypotheses for translation in translations]), num_tokens
    num_labels = _num_labels(options)
    tokens = await tokens_of(decoded, served.bundle, limits, TooLong.REFUSE)
    found = await classify(served, tokens, num_labels)
    return _of_labels([each.labels for each in found]), sum(each.num_tokens for each in found)


async def answer_next_text(
    session: Session, texts: Array, options: Options, limits: LimitSettings, *, ends: bool
) -> dict[str, Array]:
    """The next piece of a session's text: a classifier answers with the labels so far, a translator at the end."""
    manifest = session.served.manifest
    check_streams(manifest)
    [text] = texts_of(texts)
    conversation = Conversation(session, limits)
    if manifest.task == "classify":
        num_labels = _num_labels(options)
        answer = await conversation.feed(text, ends=ends)
        return _of_labels([answer.said.labels[:num_labels]])
    chosen = _decoding_options(manifest, options)
    await conversation.feed(text)
    return _of_hypotheses([await _written(conversation, chosen) if ends else ()])


def texts_of(array: Array) -> list[str]:
    """The texts of a tensor `[rows, 1]` or `[rows]`."""
    if array.dtype != object or array.size != len(array):
        raise InvalidInput("text is BYTES with the shape [rows, 1]", field="inputs.text")
    try:
        return [each.decode("utf-8") for each in array.ravel()]
    except UnicodeDecodeError as error:
        raise InvalidInput(
            f"text is not UTF-8: {error.reason} at byte {error.start}", field="inputs.text"
        ) from None


async def _written(conversation: Conversation, options: DecodingOptions) -> Sequence[Hypothesis]:
    found: Sequence[Hypothesis] = ()
    async with aclosing(conversation.generate(options)) as answers:
        async for answer in answers:
            found = answer.hypotheses or found
    return found


def _decoding_options(manifest: Manifest, options: Options) -> DecodingOptions:
    _check_known(options, _KINDS)
    given = {name: _number(name, value, _KINDS[name]) for name, value in options.items()}
    return DecodingOptions.of(manifest, field="parameters", **given)


def _num_labels(options: Options) -> int:
    _check_known(options, [NUM_LABELS])
    num = _number(NUM_LABELS, options.get(NUM_LABELS, 1), int)
    if num < 1:
        raise InvalidInput(f"num_labels must be 1 or more, not {num}", field="parameters.num_labels")
    return int(num)


def _check_known(options: Options, known: Any) -> None:
    for name in options:
        if name not in known:
            raise InvalidInput(
                f"no parameter is called {name!r}; this task knows {', '.join(known)}",
                field=f"parameters.{name}",
            )


def _number(name: str, value: Any, kind: Any) -> Any:
    """Some clients write every parameter as text."""
    try:
        number = float(value)
        if kind is float or number == int(number):
            return kind(number)
    except (TypeError, ValueError, OverflowError):
        pass
    raise InvalidInput(f"{name} is a number, not {value!r}", field=f"parameters.{name}")


def _of_hypotheses(rows: Sequence[Sequence[Hypothesis]]) -> dict[str, Array]:
    texts = [[each.text.encode() for each in row] for row in rows]
    return {"text": _bytes(texts), "score": _floats([[each.score for each in row] for row in rows])}


def _of_labels(rows: Sequence[Sequence[LabelScore]]) -> dict[str, Array]:
    labels = [[each.label.encode() for each in row] for row in rows]
    probabilities = [[each.probability for each in row] for row in rows]
    return {"label": _bytes(labels), "probability": _floats(probabilities)}


def _bytes(rows: Sequence[Sequence[bytes]]) -> Array:
    """`[rows, columns]`; rows that have fewer are filled up with empty texts."""
    array = np.full((len(rows), max(map(len, rows))), b"", object)
    for target, row in zip(array, rows, strict=True):
        target[: len(row)] = row
    return array


def _floats(rows: Sequence[Sequence[float]]) -> Array:
    array = np.zeros((len(rows), max(map(len, rows))), np.float32)
    for target, row in zip(array, rows, strict=True):
        target[: len(row)] = row
    return array
