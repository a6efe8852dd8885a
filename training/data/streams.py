"""Long texts in parallel streams, for truncated backpropagation through time with a state that goes on.

Each stream holds documents one after the other, each cut into chunks; batch n holds the n-th chunk of every stream:

    stream 1   a a a a │ a a a a │ a a . . │ d d d d        a document begins with a chunk of its own, and with BOS;
    stream 2   b b b b │ b b . . │ c c c c │ c . . .        `.` is padding
               batch 1   batch 2   batch 3   batch 4

A document longer than a stream is cut into segments, each of which begins as a document does.
"""

import random
from collections.abc import Sequence
from typing import NamedTuple

from service.bundle.tokenizer import BOS
from training.data.batches import Example, Plan

NOTHING = -1
"""Stands in a plan for a stream that has ended."""


class Piece(NamedTuple):
    """One chunk: positions `start` to `stop` of a document; the first of a segment is `fresh`."""

    document: int
    start: int
    stop: int
    fresh: bool

    def of(self, documents: Sequence[Example]) -> Example:
        """What is read and what comes next; a segment is read from BOS on."""
        document = documents[self.document]
        source = list(document.source[self.start : self.stop])
        return Example([BOS, *source[1:]] if self.fresh else source, document.target[self.start : self.stop])


class Streams(NamedTuple):
    """Pieces, and which of them run together: a row of `plan` has one of each stream, or NOTHING."""

    pieces: list[Piece]
    plan: Plan


def lay(documents: Sequence[Example], num_streams: int, chunk: int, dice: random.Random | None) -> Streams:
    """All documents in at most `num_streams` streams of about one length; `dice` draw order and cuts."""
    total = sum(len(document.source) for document in documents)
    longest = -(-total // num_streams)
    longest += -longest % chunk
    order = list(range(len(documents)))
    if dice:
        dice.shuffle(order)
    segments = [cut for number in order for cut in _segments(number, documents[number], longest, chunk, dice)]
    streams: list[list[Piece]] = [[] for _ in range(min(num_streams, len(segments)))]
    for segment in segments:
        min(streams, key=len).extend(segment)
    return _together(streams)


def _segments(
    number: int, document: Example, longest: int, chunk: int, dice: random.Random | None
) -> list[list[Piece]]:
    """Segments of at most `longest` positions; where there are several, the first is as long as the dice say."""
    size = len(document.source)
    first = dice.randrange(1, longest + 1) if dice and size > longest else longest
    starts = [0, *range(first, size, longest)]
    return [
        [
            Piece(number, place, min(place + chunk, stop), place == start)
            for place in range(start, stop, chunk)
        ]
        for start, stop in zip(starts, [*starts[1:], size], strict=True)
    ]


def _together(streams: Sequence[Sequence[Piece]]) -> Streams:
    pieces: list[Piece] = []
    plan: Plan = []
    for turn in range(max(map(len, streams))):
        row = []
        for stream in streams:
            row.append(len(pieces) if turn < len(stream) else NOTHING)
            pieces.extend(stream[turn : turn + 1])
        plan.append(row)
    return Streams(pieces, plan)
