"""Weights that several graphs of a bundle use lie once, in `weights.bin`, and come into a graph's bytes as it is read.

On disk such a graph is an ONNX file with external data, as the onnx library writes and reads them
(https://onnx.ai/onnx/repo-docs/ExternalData.html). ONNX Runtime sees none of that: it is given the file that there
would be without `weights.bin`, byte for byte. So nothing but this module follows what a file says of other files.

Only the initializers of a file's outermost graph may lie there, each a range of its own. What else names other
files is left as it is, and refused by whoever loads it.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice, pairwise
from math import prod
from typing import NamedTuple

from service.bundle.messages import Damaged, Field, fields, head, numbers

WEIGHTS = "weights.bin"

GRAPH = 7
"""Of a model; and of that graph, and of a tensor and its entries, the numbers of
https://github.com/onnx/onnx/blob/main/onnx/onnx.proto."""
INITIALIZER = 5
DIMS, DATA_TYPE, NAME, RAW_DATA, DOC_STRING, EXTERNAL_DATA, DATA_LOCATION = 1, 2, 8, 9, 12, 13, 14
KNOWN = {DIMS, DATA_TYPE, NAME, DOC_STRING, EXTERNAL_DATA, DATA_LOCATION}
KEY, VALUE = 1, 2
ELSEWHERE = 1
MAX_DIGITS, MAX_DIMS = 15, 16

WIDTHS = {1: 4, 2: 1, 3: 1, 4: 2, 5: 2, 6: 4, 7: 8, 9: 1, 10: 2, 11: 8, 12: 4, 13: 8, 16: 2}
"""Types of elements → their bytes; strings and halves of bytes do not lie elsewhere."""

Chunks = list[bytes | memoryview]


class Misplaced(ValueError):
    """What a graph says of its weights is not so, or not how bundles have them."""


class Place(NamedTuple):
    """Where in the file an initializer lies, and what it is."""

    start: int
    end: int
    dtype: int
    dims: tuple[int, ...]


def joined(graph: bytes, weights: bytes) -> bytes:
    """The graph's file with its initializers in it; Damaged, Misplaced.

    As each range is used once, it is no larger than both files together.
    """
    check_apart(places(graph))
    view, chunks = memoryview(weights), Chunks()
    for field in fields(memoryview(graph)):
        content = _within(field, GRAPH)
        chunks += [field.raw] if content is None else _filled(GRAPH, _with_weights(content, view))
    return b"".join(chunks)


def places(graph: bytes) -> list[Place]:
    """Where its initializers lie that are not in it; Damaged, Misplaced."""
    return [
        _place(tensor)
        for field in fields(memoryview(graph))
        if (content := _within(field, GRAPH)) is not None
        for part in fields(content)
        if (tensor := _elsewhere(part)) is not None
    ]


def check_apart(found: Iterable[Place]) -> None:
    """Misplaced where two of them have bytes in common."""
    for one, other in pairwise(sorted(found)):
        if other.start < one.end:
            raise Misplaced(f"bytes {other.start} to {one.end} of {WEIGHTS} belong to two tensors")


def check_alike(graphs: Sequence[Iterable[Place]]) -> None:
    """Misplaced where two graphs mean different tensors by the same bytes."""
    check_apart({place for found in graphs for place in found})


def _with_weights(graph: memoryview, weights: memoryview) -> Chunks:
    chunks = Chunks()
    for field in fields(graph):
        tensor = _elsewhere(field)
        chunks += [field.raw] if tensor is None else _filled(INITIALIZER, _tensor(tensor, weights))
    return chunks


def _filled(number: int, content: Chunks) -> Chunks:
    return [head(number, sum(map(len, content))), *content]


def _tensor(tensor: list[Field], weights: memoryview) -> Chunks:
    """Its content, the data in their place in the order of fields, in which the onnx library writes them."""
    place = _place(tensor)
    if place.end > len(weights):
        raise Misplaced(f"it ends at byte {place.end} of {WEIGHTS}, which has {len(weights)}")
    data: Chunks = [head(RAW_DATA, place.end - place.start), weights[place.start : place.end]]
    before = [field.raw for field in tensor if field.number < RAW_DATA]
    return [*before, *data, *(field.raw for field in tensor if field.number == DOC_STRING)]


def _elsewhere(field: Field) -> list[Field] | None:
    """The fields of an initializer whose data lie elsewhere."""
    content = _within(field, INITIALIZER)
    if content is None:
        return None
    tensor = list(fields(content))
    is_elsewhere = any(
        part.number == EXTERNAL_DATA or (part.number == DATA_LOCATION and part.value != 0) for part in tensor
    )
    return tensor if is_elsewhere else None


def _place(tensor: Sequence[Field]) -> Place:
    """What an initializer says of its data; Misplaced where that is not all, or too much."""
    if strange := {field.number for field in tensor} - KNOWN:
        raise Misplaced(f"an initializer with data elsewhere has fields {sorted(strange)}, too")
    dtype, location = _only(tensor, DATA_TYPE), _only(tensor, DATA_LOCATION)
    if not isinstance(dtype, int) or dtype not in WIDTHS or location != ELSEWHERE:
        raise Misplaced(f"an initializer of type {dtype} lies at {location}")
    said = _entries(tensor)
    if said.keys() != {"location", "offset", "length"} or said["location"] != WEIGHTS:
        raise Misplaced(f"an initializer lies in {said}, not in a range of {WEIGHTS}")
    start, size = _count(said["offset"]), _count(said["length"])
    dims = tuple(islice(_dims(tensor), MAX_DIMS + 1))
    if len(dims) > MAX_DIMS or size != prod(dims) * WIDTHS[dtype]:
        raise Misplaced(f"{size} bytes of {WEIGHTS} are no tensor of shape {list(dims)} and type {dtype}")
    return Place(start, start + size, dtype, dims)


def _entries(tensor: Sequence[Field]) -> dict[str, str]:
    """Where the data are said to lie."""
    said: dict[str, str] = {}
    for field in tensor:
        if field.number == EXTERNAL_DATA:
            entry = list(fields(_content(field.value)))
            key, value = (
                bytes(_content(_only(entry, number))).decode("ascii", "replace") for number in (KEY, VALUE)
            )
            if key in said:
                raise Misplaced(f"an initializer has two of {key!r}")
            said[key] = value
    return said


def _dims(tensor: Sequence[Field]) -> Iterator[int]:
    for field in tensor:
        if field.number == DIMS:
            yield from [field.value] if isinstance(field.value, int) else numbers(_content(field.value))


def _count(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= MAX_DIGITS):
        raise Misplaced(f"{text!r} is no number of bytes")
    return int(text)


def _only(found: Sequence[Field], number: int) -> memoryview | int | None:
    values = [field.value for field in found if field.number == number]
    if len(values) != 1:
        raise Misplaced(f"field {number} of an initializer with data elsewhere is there {len(values)} times")
    return values[0]


def _content(value: memoryview | int | None) -> memoryview:
    if not isinstance(value, memoryview):
        raise Damaged("a number where something is said")
    return value


def _within(field: Field, number: int) -> memoryview | None:
    """The content of a field, if it is this one and has any."""
    return field.value if field.number == number and isinstance(field.value, memoryview) else None
