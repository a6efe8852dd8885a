"""docs/api.md: services, messages and enums of `seqserve.v1`, in the words of the protos' own comments."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
    ServiceDescriptorProto,
)

ROOT = Path(__file__).parent.parent
PACKAGE = "seqserve.v1"
FIRST = "sequence", "session", "model", "decoding", "input"
"""The order of the protos; any others follow."""
SERVICE, MESSAGE, ENUM = 6, 4, 5
"""Numbers of the fields of FileDescriptorProto, in which paths to comments are written."""
METHOD, FIELD, VALUE, NESTED, NESTED_ENUM = 2, 2, 2, 3, 4
INTRODUCTION = f"""# API

Written by `make docs` from the comments in `protos/`. The package is `{PACKAGE}`; the server answers reflection. The
Open Inference Protocol, which the server speaks as well, is a standard of its own. Errors are real gRPC statuses with
`google.rpc` details: [reference.md](reference.md#errors) lists them.
"""

Path_ = tuple[int, ...]


def api_page() -> str:
    """The whole page."""
    files = sorted(_files(), key=_rank)
    parts = [INTRODUCTION]
    for file in files:
        told = {tuple(place.path): place.leading_comments for place in file.source_code_info.location}
        page = _Page(told)
        parts += page.of(file)
    return "\n".join(parts)


def _files() -> list[FileDescriptorProto]:
    buf = Path(sys.executable).with_name("buf")
    built = subprocess.run(
        [buf, "build", "protos", "-o", "-#format=binpb"], cwd=ROOT, check=True, capture_output=True
    )
    files = FileDescriptorSet.FromString(built.stdout).file
    return [file for file in files if file.package == PACKAGE]


def _rank(file: FileDescriptorProto) -> tuple[int, str]:
    name = Path(file.name).stem
    return (FIRST.index(name) if name in FIRST else len(FIRST)), name


class _Page:
    """What is said of one file."""

    def __init__(self, told: dict[Path_, str]) -> None:
        self._told = told

    def of(self, file: FileDescriptorProto) -> Iterator[str]:
        yield f"## {Path(file.name).stem}.proto\n"
        for number, service in enumerate(file.service):
            yield from self._service(service, (SERVICE, number))
        for number, message in enumerate(file.message_type):
            yield from self._message(message, (MESSAGE, number), "")
        for number, enum in enumerate(file.enum_type):
            yield from self._enum(enum, (ENUM, number), "")

    def _service(self, service: ServiceDescriptorProto, at: Path_) -> Iterator[str]:
        yield f"### service {service.name}\n\n{self._text(at)}\n"
        for number, method in enumerate(service.method):
            request = _stream(method.client_streaming) + _link(method.input_type)
            response = _stream(method.server_streaming) + _link(method.output_type)
            yield f"**{method.name}** ({request}) → {response}\n\n{self._text((*at, METHOD, number))}\n"

    def _message(self, message: DescriptorProto, at: Path_, above: str) -> Iterator[str]:
        yield f"### {above}{message.name}\n\n{self._text(at)}\n"
        if message.field:
            yield "| field | type | |\n|---|---|---|"
            for number, field in enumerate(message.field):
                kind = _type(field, message)
                yield f"| `{field.name}` | {kind} | {self._line((*at, FIELD, number))} |"
            yield ""
        inside = f"{above}{message.name}."
        for number, nested in enumerate(message.nested_type):
            if not nested.options.map_entry:
                yield from self._message(nested, (*at, NESTED, number), inside)
        for number, enum in enumerate(message.enum_type):
            yield from self._enum(enum, (*at, NESTED_ENUM, number), inside)

    def _enum(self, enum: EnumDescriptorProto, at: Path_, above: str) -> Iterator[str]:
        yield f"### enum {above}{enum.name}\n\n{self._text(at)}\n\n| value | |\n|---|---|"
        for number, value in enumerate(enum.value):
            yield f"| `{value.name}` = {value.number} | {self._line((*at, VALUE, number))} |"
        yield ""

    def _text(self, at: Path_) -> str:
        """The comment as it stands, with its examples as code."""
        lines = [line.removeprefix(" ") for line in self._told.get(at, "").splitlines()]
        return "\n".join(f"    {line}" if line.startswith("  ") else line for line in lines).strip("\n")

    def _line(self, at: Path_) -> str:
        return " ".join(self._told.get(at, "").split()).replace("|", "\\|")


def _stream(streams: bool) -> str:
    return "stream of " if streams else ""


def _link(full_name: str) -> str:
    """To the message, where it is on this page."""
    name = full_name.removeprefix(".")
    if not name.startswith(f"{PACKAGE}."):
        return f"`{name}`"
    short = name.removeprefix(f"{PACKAGE}.")
    return f"[{short}](#{short.replace('.', '').lower()})"


def _type(field: FieldDescriptorProto, message: DescriptorProto) -> str:
    entry = next(
        (one for one in message.nested_type if field.type_name.endswith(f".{message.name}.{one.name}")), None
    )
    if entry is not None and entry.options.map_entry:
        key, value = (_scalar(one) for one in entry.field)
        return f"map of {key} to {value}"
    kind = _scalar(field)
    if field.label == FieldDescriptorProto.LABEL_REPEATED:
        return f"list of {kind}"
    if field.proto3_optional:
        return f"{kind}, may be left out"
    if field.HasField("oneof_index"):
        return f"{kind}; one of `{message.oneof_decl[field.oneof_index].name}`"
    return kind


def _scalar(field: FieldDescriptorProto) -> str:
    if field.type == FieldDescriptorProto.TYPE_ENUM:
        name = field.type_name.removeprefix(f".{PACKAGE}.")
        return f"[{name}](#enum-{name.replace('.', '').lower()})"
    if field.type_name:
        return _link(field.type_name)
    return FieldDescriptorProto.Type.Name(field.type).removeprefix("TYPE_").lower()
