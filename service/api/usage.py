"""How many tokens an answer stands for: those that were written, and those that were read for it.

Counted from the messages as they go out, so that no servicer has to think of it. Of a stream of whole texts
(`Stream…`) the text that was read is not told in the answers, and counts a token for each four bytes of it.
"""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, NamedTuple

from google.protobuf.descriptor import Descriptor, FieldDescriptor

BYTES_PER_TOKEN = 4
NUM_TOKENS = "num_tokens"
TOKENS = frozenset({"Token", "HeardToken", "TaggedWord", "PredictedStep"})
COUNTS = frozenset({"num_source_tokens", "num_prompt_tokens", "num_tokens"})

Count = Callable[[Any], int]


class Stand(NamedTuple):
    """How far a session's stream has come."""

    input: int = 0
    output: int = 0


class Usage:
    """Counts the tokens of one call, message by message."""

    def __init__(self, *, streams: bool) -> None:
        self._streams = streams
        self._stand = Stand()

    def of_request(self, request: Any) -> int:
        """What is counted when a request comes in."""
        text = getattr(request, "text", None)
        return len(text.encode("utf-8", "replace")) // BYTES_PER_TOKEN if isinstance(text, str) else 0

    def of_response(self, response: Any) -> int:
        """What is counted when an answer goes out."""
        kind = response.DESCRIPTOR.oneofs_by_name.get("response")
        if kind is not None and (said := response.WhichOneof("response")):
            return self._moved(said, getattr(response, said))
        return _counter(response.DESCRIPTOR, not self._streams)(response)

    def _moved(self, said: str, answer: Any) -> int:
        """In a session, positions tell."""
        if "output_position" not in answer.DESCRIPTOR.fields_by_name:
            return 0
        before, now = self._stand, Stand(answer.input_position, answer.output_position)
        self._stand = now
        if said != "output":  # opened, rewound: where it stands, not what it took
            return 0
        return max(0, now.input - before.input) + max(0, now.output - before.output)


def _in_parameters(answer: Any) -> int:
    """The answers of the Open Inference Protocol have no field for it, and say it in a parameter."""
    return int(answer.parameters[NUM_TOKENS].int64_param) if NUM_TOKENS in answer.parameters else 0


SAYS_IT_ITSELF: Mapping[str, Count] = {
    "inference.ModelInferResponse": _in_parameters,
    "inference.ModelStreamInferResponse": lambda answer: _in_parameters(answer.infer_response),
}


@cache
def _counter(message: Descriptor, deep: bool) -> Count:
    """Counts the tokens in messages of a kind; those of a stream bring each token by itself and again in the end."""
    if message.full_name in SAYS_IT_ITSELF:
        return SAYS_IT_ITSELF[message.full_name]
    parts = [part for field in message.fields if (part := _part(field, deep))]
    return lambda value: sum(part(value) for part in parts)


def _part(field: FieldDescriptor, deep: bool) -> Count | None:
    name = field.name
    if name in COUNTS:
        return lambda value: int(getattr(value, name))
    if field.message_type is None or field.message_type.GetOptions().map_entry:
        return None
    if field.is_repeated and field.message_type.name in TOKENS:
        return lambda value: len(getattr(value, name))
    if not deep:
        return None
    inner = _counter(field.message_type, deep)
    if field.is_repeated:
        return lambda value: sum(map(inner, getattr(value, name)))
    return lambda value: inner(getattr(value, name))
