"""How much memory a session takes: its arrays, each counted once, its log, and the Python objects around them.

The constants are measured (CPython 3.11); `tests/service/sessions/test_weight.py` holds the account to what is really
allocated.
"""

from service.sessions.reading import Reading
from service.sessions.session import Session

SESSION_BYTES = 1400
"""Of a session without turns: itself, its place in the table, its id."""
TURN_BYTES = 320
"""Of a turn in the log, without its answer and its standing."""
READING_BYTES = 500
"""Of a standing with its reading, without arrays."""
ARRAY_BYTES = 160
"""Of an array, without its data."""


def weight_of(session: Session) -> int:
    """Bytes of the session in memory. What it shares with a fork counts for both.

    The cost grows with the standings that are kept, not with the length of what was read.
    """
    total = SESSION_BYTES + len(session.log) * TURN_BYTES + session.log.answer_bytes
    readings = [turn.standing.reading for turn in session.log if turn.standing is not None]
    total += _bytes_of_all([*readings, session.standing.reading])
    search = session.unfinished and session.unfinished.search
    if search:
        total += sum(array.nbytes + ARRAY_BYTES for array in search.to_plain().arrays.values())
    return total


def _bytes_of_all(readings: list[Reading]) -> int:
    """Bytes of readings that were reached one after the other: the pieces of a context that they share count once."""
    total, seen, before = 0, set[int](), readings[0]
    for reading in readings:
        if id(reading) not in seen:
            seen.add(id(reading))
            arrays = [*reading.state.values(), *reading.outputs.values()]
            total += READING_BYTES + sum(array.nbytes + ARRAY_BYTES for array in arrays)
            total += reading.context_bytes - (_shared(before, reading) if len(seen) > 1 else 0)
        before = reading
    return total


def _shared(one: Reading, other: Reading) -> int:
    """Bytes of the pieces that both have: those of the shorter one, or none."""
    num = min(len(one.pieces), len(other.pieces))
    if num and one.pieces[num - 1] is other.pieces[num - 1]:
        return min(one.context_bytes, other.context_bytes)
    return 0
