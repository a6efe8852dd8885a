"""How much memory a session takes: its arrays, each counted once, its log, and the Python objects around them.

The constants are measured (CPython 3.11); `tests/service/sessions/test_weight.py` holds the account to what is really
allocated.
"""

from service.sessions.durability import Mode
from service.sessions.reading import NOTHING_READ, Reading
from service.sessions.session import Session

SESSION_BYTES = 1300
"""Of a session without turns: itself, its place in the table, its id."""
TURN_BYTES = 320
"""Of a turn in the log, without its answer and its standing."""
WRITTEN_BYTES = 200
"""Of a turn as it stands in snapshots, without its answer: its digest, and the objects around it."""
READING_BYTES = 650
"""Of a standing with its reading, without arrays."""
QUOTED = 1.25
"""How much longer an answer is as a text within a text."""
PIECE_BYTES = 300
"""Of a piece of a context, without its data."""
ARRAY_BYTES = 160
"""Of an array, without its data."""


def weight_of(session: Session) -> int:
    """Bytes of the session in memory. What it shares with a fork counts for both.

    The cost grows with the standings that are kept, not with the length of what was read.
    """
    log = session.log
    total = SESSION_BYTES + len(log) * TURN_BYTES + log.answer_bytes
    if session.durability.mode is not Mode.NONE:
        total += len(log) * WRITTEN_BYTES + int(log.answer_bytes * QUOTED)
    readings = [turn.standing.reading for turn in log if turn.standing is not None]
    total += _bytes_of_all([*readings, session.standing.reading])
    search = session.unfinished and session.unfinished.search
    if search:
        total += sum(array.nbytes + ARRAY_BYTES for array in search.to_plain().arrays.values())
    return total


def _bytes_of_all(readings: list[Reading]) -> int:
    """Bytes of readings that were reached one after the other: the pieces of a context that they share count once."""
    total, seen, before = 0, {id(NOTHING_READ)}, NOTHING_READ
    for reading in readings:
        if id(reading) not in seen:
            seen.add(id(reading))
            arrays = [*reading.state.values(), *reading.outputs.values()]
            total += READING_BYTES + sum(array.nbytes + ARRAY_BYTES for array in arrays)
            total += _bytes_of_context(reading, before)
        before = reading
    return total


def _bytes_of_context(reading: Reading, before: Reading) -> int:
    """Bytes of the pieces that the reading before did not have: it has the shorter one's pieces, or none of them."""
    num = min(len(reading.pieces), len(before.pieces))
    is_shared = num > 0 and reading.pieces[num - 1] is before.pieces[num - 1]
    shared = min(reading.context_bytes, before.context_bytes) if is_shared else 0
    return reading.context_bytes - shared + (len(reading.pieces) - num * is_shared) * PIECE_BYTES
