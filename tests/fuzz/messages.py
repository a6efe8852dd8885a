"""Messages of any kind, made from their descriptors: good, nearly good, and hostile ones. What is new is made, too.

What decides is a `random.Random`: that of hypothesis (`st.randoms()`), which can shrink what it chose, or one with a
seed of libFuzzer's.
"""

from random import Random
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

SESSION = "session-that-is-meant---"
"""Stands for the id of the session that was opened last, where a script is played; as long as one is."""
TICKET = b"the-ticket-that-is-meant"

F = FieldDescriptor
Field = Any
"""A FieldDescriptor; of the two that there are, one has no types."""
INTEGERS: dict[int, tuple[int, int]] = {
    F.TYPE_INT32: (-(2**31), 2**31 - 1),
    F.TYPE_SINT32: (-(2**31), 2**31 - 1),
    F.TYPE_SFIXED32: (-(2**31), 2**31 - 1),
    F.TYPE_INT64: (-(2**63), 2**63 - 1),
    F.TYPE_SINT64: (-(2**63), 2**63 - 1),
    F.TYPE_SFIXED64: (-(2**63), 2**63 - 1),
    F.TYPE_UINT32: (0, 2**32 - 1),
    F.TYPE_FIXED32: (0, 2**32 - 1),
    F.TYPE_UINT64: (0, 2**64 - 1),
    F.TYPE_FIXED64: (0, 2**64 - 1),
}
FLOATS = (0.0, -0.0, 0.5, 1.0, 2.0, -1.0, 1e-30, 3.4e38, float("inf"), float("-inf"), float("nan"))
TEXTS = (
    "",
    " ",
    "the cat sits on the mat",
    "play some jazz music",
    "Dónde está ",
    "a",
    "\u2581 ▁\u200b",
    "\x00\x1f\x7f",
    "İﬀ漢\U0001f600\u0301",
    "x" * 3000,
    "the " * 300,
    "../../etc/passwd",
    "<s></s>",
)
MAX_DEPTH = 8
ESSENTIAL = {"name", "values", "dim", "datatype", "shape", "contents", "source", "target", "samples"}
"""Without most of the other fields a message is as good, and without these it seldom is."""


class Maker:
    """Makes messages; `pools` gives, by a field's name, values that mean something."""

    def __init__(self, random: Random, pools: dict[str, tuple[Any, ...]]) -> None:
        self._random = random
        self._pools = pools

    def message(self, kind: Descriptor, depth: int = 0) -> Message:
        made: Message = GetMessageClass(kind)()
        if depth < MAX_DEPTH:
            self._fill(made, depth)
        return made

    def change(self, message: Message) -> None:
        """Make one field of the message, or of a message within it, anew; or leave it out."""
        fields: Any = message.DESCRIPTOR.fields
        if not fields:
            return
        field = self._random.choice(fields)
        inner = messages_in(message, field)
        if inner and self._random.random() < 0.8:
            self.change(self._random.choice(inner))
            return
        message.ClearField(field.name)
        if self._random.random() < 0.9:
            self._set(message, field, 0)

    def _fill(self, message: Message, depth: int) -> None:
        dice, kind = self._random, message.DESCRIPTOR
        alone: list[Field] = [field for field in kind.fields if not field.containing_oneof]
        alone += [dice.choice(oneof.fields) for oneof in kind.oneofs if dice.random() < 0.9]
        for field in alone:
            often = 0.9 if depth == 0 else 0.6
            if dice.random() < (often if field.name in ESSENTIAL or depth == 0 else 0.12):
                self._set(message, field, depth)

    def _set(self, message: Message, field: Field, depth: int) -> None:
        if is_map(field):
            self._set_map(message, field)
        elif field.is_repeated:
            values = getattr(message, field.name)
            for _ in range(self._count()):
                if field.message_type:
                    values.append(self.message(field.message_type, depth + 1))
                else:
                    values.append(self._scalar(field))
        elif field.message_type:
            getattr(message, field.name).CopyFrom(self.message(field.message_type, depth + 1))
        else:
            setattr(message, field.name, self._scalar(field))

    def _set_map(self, message: Message, field: Field) -> None:
        """Keys are texts on this wire."""
        assert field.message_type
        values, value = getattr(message, field.name), field.message_type.fields_by_name["value"]
        for _ in range(self._random.randint(0, 3)):
            key = self._random.choice(self._pools.get(field.name, TEXTS))
            if value.message_type:
                values[key].CopyFrom(self.message(value.message_type, MAX_DEPTH - 1))
            else:
                values[key] = self._scalar(value)

    def _count(self) -> int:
        """Of a repeated field: few, and now and then many."""
        return self._random.choice((0, 1, 1, 2, 3, 4, self._random.choice((9, 65, 300))))

    def _scalar(self, field: Field) -> Any:
        dice = self._random
        pool = self._pools.get(field.name)
        if pool and dice.random() < 0.8 and isinstance(pool[0], type(field.default_value)):
            return dice.choice(pool)
        if field.type == F.TYPE_BOOL:
            return dice.random() < 0.5
        if field.type == F.TYPE_STRING:
            return dice.choice(TEXTS)
        if field.type == F.TYPE_BYTES:
            return dice.choice((b"", b"\0", b"\xff" * 7, dice.randbytes(dice.choice((2, 16, 160, 3200)))))
        if field.type in (F.TYPE_FLOAT, F.TYPE_DOUBLE):
            return dice.choice(FLOATS)
        if field.enum_type:
            return dice.choice((*(value.number for value in field.enum_type.values), 99))
        low, high = INTEGERS[field.type]
        return dice.choice((0, 1, 2, 3, 8, 50, 100_000, low, high, max(low, -1)))


def is_map(field: Field) -> bool:
    return bool(field.message_type and field.message_type.GetOptions().map_entry)


def messages_in(message: Message, field: Field) -> list[Message]:
    """What there is in a field of messages."""
    if not field.message_type or is_map(field):
        return []
    if field.is_repeated:
        return list(getattr(message, field.name))
    return [getattr(message, field.name)] if message.HasField(field.name) else []
