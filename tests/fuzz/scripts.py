"""What is played to a server: calls one after the other, written down so that people can read them.

call /seqserve.v1.SequenceService/Session leave=1
{"open": {"model": {"name": "intents"}}}
raw ZmZmZg==
"""

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

from google.protobuf import json_format
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from seqserve.inference import grpc_service_pb2
from seqserve.v1 import model_pb2, multiplex_pb2, sequence_pb2, session_pb2
from tests.fuzz.messages import Maker

_CALL = re.compile(r"call (\S+)(?: leave=(\d+))?")
MAX_CALLS, MAX_MESSAGES = 6, 12


def method_path(method: MethodDescriptor) -> str:
    return f"/{method.containing_service.full_name}/{method.name}"


METHODS: dict[str, MethodDescriptor] = {
    method_path(method): method
    for file in (sequence_pb2, session_pb2, model_pb2, multiplex_pb2, grpc_service_pb2)
    for service in file.DESCRIPTOR.services_by_name.values()
    for method in service.methods
}
"""Every method of every service of this server, by its path."""


@dataclass(frozen=True)
class Call:
    """One call. Whoever leaves does so after so many answers; None: stays to the end."""

    path: str
    requests: tuple[bytes, ...]
    leaves_after: int | None = None


Script = tuple[Call, ...]


def to_bytes(script: Script) -> bytes:
    lines = []
    for call in script:
        leave = "" if call.leaves_after is None else f" leave={call.leaves_after}"
        lines += [f"call {call.path}{leave}", *(_line(call.path, request) for request in call.requests)]
    return "\n".join(lines).encode() + b"\n"


def from_bytes(data: bytes) -> Script:
    """ValueError where it is none."""
    calls: list[Call] = []
    for line in data.decode("utf-8").split("\n"):
        if found := _CALL.fullmatch(line):
            path, leave = found[1], found[2]
            if path not in METHODS:
                raise ValueError(f"no method is called {path}")
            calls.append(Call(path, (), int(leave) if leave else None))
        elif line:
            if not calls:
                raise ValueError("a message without a call")
            call = calls[-1]
            calls[-1] = Call(call.path, (*call.requests, _request(call.path, line)), call.leaves_after)
    return tuple(calls)


def _line(path: str, request: bytes) -> str:
    """As JSON where nothing is lost by that."""
    try:
        message = _kind(path).FromString(request)
        text = json_format.MessageToJson(message, indent=None, ensure_ascii=True)
        if _request(path, text) == request:
            return text
    except (DecodeError, ValueError, TypeError, json_format.Error):
        pass
    return f"raw {base64.b64encode(request).decode()}"


def _request(path: str, line: str) -> bytes:
    try:
        if line.startswith("raw "):
            return base64.b64decode(line[4:], validate=True)
        message = _kind(path)()
        json_format.Parse(line, message)
        return message.SerializeToString(deterministic=True)
    except (json_format.Error, binascii.Error, TypeError, RecursionError) as error:
        raise ValueError(str(error)) from None


def _kind(path: str) -> type[Message]:
    return GetMessageClass(METHODS[path].input_type)


class Writer:
    """Writes scripts, and changes those that there are."""

    def __init__(self, random: Random, maker: Maker, fitting: Mapping[str, Sequence[str]]) -> None:
        """`fitting` names models that a method may be asked of, where `model` says of which it is."""
        self._random = random
        self._maker = maker
        self._fitting = fitting

    def script(self, max_calls: int = 3) -> Script:
        return tuple(self.call() for _ in range(self._random.randint(1, max_calls)))

    def call(self, path: str = "") -> Call:
        dice = self._random
        path = path or dice.choice(tuple(METHODS))
        method = METHODS[path]
        num = dice.randint(0, 5) if method.client_streaming else 1
        leaves = (
            dice.choice((0, 1, 2)) if dice.random() < (0.3 if method.server_streaming else 0.05) else None
        )
        return Call(path, tuple(self._message(path) for _ in range(num)), leaves)

    def changed(self, script: Script) -> Script:
        """One call of it otherwise, more, or less."""
        dice, calls = self._random, list(script)
        choice = dice.random()
        if not calls or (choice < 0.1 and len(calls) < MAX_CALLS):
            calls.insert(dice.randint(0, len(calls)), self.call())
        elif choice < 0.2:
            del calls[dice.randrange(len(calls))]
        else:
            at = dice.randrange(len(calls))
            calls[at] = self._changed(calls[at])
        return tuple(calls)

    def _changed(self, call: Call) -> Call:
        dice, requests = self._random, list(call.requests)
        choice, leaves = dice.random(), call.leaves_after
        if choice < 0.05:
            leaves = dice.choice((None, 0, 1, 3))
        elif not requests or (
            choice < 0.2 and len(requests) < MAX_MESSAGES and METHODS[call.path].client_streaming
        ):
            requests.insert(dice.randint(0, len(requests)), self._message(call.path))
        elif choice < 0.25:
            del requests[dice.randrange(len(requests))]
        elif choice < 0.35 and METHODS[call.path].client_streaming:
            dice.shuffle(requests)
        else:
            at = dice.randrange(len(requests))
            requests[at] = self._otherwise(call.path, requests[at])
        return Call(call.path, tuple(requests), leaves)

    def _message(self, path: str) -> bytes:
        made = self._maker.message(METHODS[path].input_type)
        fitting = self._fitting.get(METHODS[path].name)
        if fitting and self._random.random() < 0.6:
            made.model.Clear()  # type: ignore[attr-defined] # a message of any kind
            made.model.name = self._random.choice(fitting)  # type: ignore[attr-defined]
        data = made.SerializeToString(deterministic=True)
        return self._damaged(data) if self._random.random() < 0.03 else data

    def _otherwise(self, path: str, request: bytes) -> bytes:
        if self._random.random() < 0.05:
            return self._damaged(request)
        try:
            message = _kind(path).FromString(request)
        except DecodeError:
            return self._message(path)
        for _ in range(self._random.choice((1, 1, 2, 4))):
            self._maker.change(message)
        return message.SerializeToString(deterministic=True)

    def _damaged(self, data: bytes) -> bytes:
        dice, found = self._random, bytearray(data)
        if found and dice.random() < 0.5:
            found[dice.randrange(len(found))] ^= 1 << dice.randrange(8)
        elif found and dice.random() < 0.5:
            del found[dice.randrange(len(found)) :]
        else:
            found += dice.randbytes(4)
        return bytes(found)
