"""A session as a snapshot, and back.

Arrays that several standings share are written once. The pieces of a context are joined: of standings that were
reached one after the other, the earlier ones have the first so many entries of the last one's.
"""

from collections.abc import Mapping
from typing import Any

from service.bundle.manifest import Manifest
from service.config import SessionSettings
from service.errors import SnapshotRefused
from service.registry import Served
from service.sessions.durability import Durability, Mode
from service.sessions.plain import Plain, under, within
from service.sessions.reading import Reading, ragged_contexts
from service.sessions.session import Session, Standing, Unfinished
from service.sessions.snapshot import Snapshot, Written, check_fits
from service.sessions.turns import Turn, TurnLog
from service.step import Array, Arrays

Facts = dict[str, Any]


def to_snapshot(session: Session, settings: SessionSettings, now: float) -> Snapshot:
    """The session as it stands; `now` is the wall clock in seconds."""
    bundle, arrays = session.served.bundle, _Pool(session.served.manifest)
    kept = [turn for turn in session.log if turn.standing is not None][-settings.stored_turns :]
    search = session.unfinished and session.unfinished.search
    unfinished = search.to_plain() if search else None
    facts = {
        "ttl_s": session.ttl_s,
        "durability": [session.durability.mode.value, session.durability.num_steps],
        **({"manner": dict(session.manner)} if session.manner else {}),
        # The newest first: the others have beginnings of its contexts.
        "standing": _standing_to(session.standing, arrays),
        "standings": [
            [turn.number, _standing_to(turn.standing, arrays)] for turn in reversed(kept) if turn.standing
        ],
        "next_turn": session.log.next_turn,
        "turns": Written.list_of([turn_to(turn, session.durability) for turn in session.log]),
        "unfinished": [session.unfinished.digest, unfinished.facts]
        if session.unfinished and unfinished
        else None,
    }
    return Snapshot(
        session_id=session.id,
        owner=session.owner,
        model=bundle.manifest.name,
        version=bundle.manifest.version,
        manifest_hash=bundle.manifest_hash,
        epoch=session.epoch,
        created_at=now,
        expires_at=now + session.ttl_s,
        facts=facts,
        arrays={**arrays.named, **(under("search", unfinished.arrays) if unfinished else {})},
    )


def from_snapshot(
    snapshot: Snapshot, session_id: str, owner: str, served: Served, settings: SessionSettings
) -> Session:
    """The session in a snapshot; SnapshotRefused with the reason when it is another's, or of another model."""
    bundle = served.bundle
    check_fits(
        snapshot,
        session_id=session_id,
        owner=owner,
        model=bundle.manifest.name,
        version=bundle.manifest.version,
        manifest_hash=bundle.manifest_hash,
    )
    try:
        return _session_from(snapshot, served, settings)
    except (AttributeError, LookupError, OverflowError, TypeError, ValueError) as error:
        raise SnapshotRefused(f"the snapshot's facts are not well formed: {error!r}") from None


def state_bytes(session: Session) -> int:
    """Bytes of all arrays of a session, each counted once."""
    standings = [session.standing, *(turn.standing for turn in session.log if turn.standing)]
    arrays: dict[int, Array] = {}
    for standing in standings:
        reading = standing.reading
        for named in (reading.state, reading.outputs, *reading.pieces):
            arrays |= {id(array): array for array in named.values()}
    return sum(array.nbytes for array in arrays.values())


def _session_from(snapshot: Snapshot, served: Served, settings: SessionSettings) -> Session:
    facts, arrays = snapshot.facts, snapshot.arrays
    pieces = _Pieces([facts["standing"], *(kept for _, kept in facts["standings"])], arrays)
    standings = {number: _standing_from(kept, arrays, pieces) for number, kept in facts["standings"]}
    turns = (
        Turn(number, digest, answer, num_outputs, standings.get(number))
        for number, digest, answer, num_outputs in facts["turns"]
    )
    mode, num_steps = facts["durability"]
    session = Session(
        snapshot.session_id,
        snapshot.owner,
        served,
        float(facts["ttl_s"]),
        _standing_from(facts["standing"], arrays, pieces),
        TurnLog.of(settings, int(facts["next_turn"]), turns),
        _unfinished_from(facts["unfinished"], arrays),
        durability=Durability(Mode(mode), int(num_steps)),
        manner=dict(facts.get("manner", {})),
        epoch=snapshot.epoch,
    )
    session.durable_turn = session.log.next_turn
    return session


def turn_to(turn: Turn, durability: Durability) -> Written:
    """The turn, written; kept beside it where the session is about to be written again and again."""
    if turn.written is not None:
        return turn.written
    written = Written.of([turn.number, turn.digest, turn.answer, turn.num_outputs])
    if durability.mode is not Mode.NONE:
        turn.written = written
    return written


def _unfinished_from(facts: Any, arrays: Arrays) -> Unfinished | None:
    if facts is None:
        return None
    digest, search = facts
    return Unfinished(digest, Plain(search, within("search", arrays)))


def _standing_to(standing: Standing, arrays: "_Pool") -> Facts:
    reading = standing.reading
    return {
        "at": [standing.input_position, standing.output_position],
        "pending": None if standing.pending is None else dict(standing.pending),
        "is_over": standing.text_is_over,
        "num_tokens": reading.num_tokens,
        "state": arrays.put_all(reading.state),
        "outputs": arrays.put_all(reading.outputs),
        "context": arrays.put_context(reading),
    }


def _standing_from(facts: Facts, arrays: Arrays, pieces: "_Pieces") -> Standing:
    context = pieces.of(facts["context"])
    reading = Reading(
        state={name: arrays[key] for name, key in facts["state"].items()},
        pieces=context,
        outputs={name: arrays[key] for name, key in facts["outputs"].items()},
        num_tokens=int(facts["num_tokens"]),
        context_bytes=sum(array.nbytes for piece in context for array in piece.values()),
    )
    return Standing(reading, facts["pending"], bool(facts["is_over"]), *map(int, facts["at"]))


class _Pieces:
    """Contexts, cut where some standing ends: what standings shared before they were written down, they share again."""

    def __init__(self, standings: list[Facts], arrays: Arrays) -> None:
        self._arrays = arrays
        self._ends: dict[str, list[list[int]]] = {}
        """Joined arrays, by the contexts that they are → where standings end in them, the shortest first."""
        self._made: dict[tuple[str, int], Arrays] = {}
        for facts in standings:
            ends = self._ends.setdefault(_joined(facts["context"]), [])
            if (end := _ends(facts["context"])) not in ends:
                ends.append(end)
        for ends in self._ends.values():
            ends.sort()

    def of(self, context: Facts) -> tuple[Arrays, ...]:
        """The pieces of a standing's context."""
        if not context or any(end is None for _, _, end in context.values()):
            return ({name: _sliced(self._arrays[key], *cut) for name, (key, *cut) in context.items()},)[
                : len(context)
            ]
        num = self._ends[_joined(context)].index(_ends(context)) + 1
        return tuple(self._piece(context, index) for index in range(num))

    def _piece(self, context: Facts, index: int) -> Arrays:
        joined = _joined(context)
        if (joined, index) not in self._made:
            ends = self._ends[joined]
            starts = ends[index - 1] if index else [0] * len(context)
            self._made[joined, index] = {
                name: _sliced(self._arrays[key], axis, end, start)
                for (name, (key, axis, _)), start, end in zip(
                    context.items(), starts, ends[index], strict=True
                )
            }
        return self._made[joined, index]


def _joined(context: Facts) -> str:
    return repr([(name, key, axis) for name, (key, axis, _) in context.items()])


def _ends(context: Facts) -> list[int]:
    return [0 if end is None else int(end) for _, _, end in context.values()]


def _sliced(array: Array, axis: int, end: int | None, start: int = 0) -> Array:
    return array if end is None else array[(slice(None),) * axis + (slice(start, end),)]


class _Pool:
    """Arrays of several standings, each once."""

    def __init__(self, manifest: Manifest) -> None:
        self.named: dict[str, Array] = {}
        self._ragged = {
            name: axis for graph in manifest.graphs.values() for name, axis in ragged_contexts(graph).items()
        }
        self._keys: dict[int, str] = {}
        self._joined: list[tuple[tuple[Arrays, ...], Mapping[str, str]]] = []

    def put(self, array: Array) -> str:
        """The name under which an array is written."""
        key = self._keys.get(id(array))
        if key is None:
            key = self._keys[id(array)] = str(len(self.named))
            self.named[key] = array
        return key

    def put_all(self, arrays: Arrays) -> Facts:
        return {name: self.put(array) for name, array in arrays.items()}

    def put_context(self, reading: Reading) -> Facts:
        """Name → array, axis and how many entries of it; None: the whole."""
        pieces = reading.pieces
        if not pieces:
            return {}
        joined = self._joined_with(reading)
        return {
            name: [joined[name], axis, sum(piece[name].shape[axis] for piece in pieces)]
            if (axis := self._ragged.get(name)) is not None
            else [self.put(array), 0, None]
            for name, array in pieces[-1].items()
        }

    def _joined_with(self, reading: Reading) -> Mapping[str, str]:
        """Names of joined contexts that begin with what was read; made where there are none."""
        for longer, keys in self._joined:
            if len(reading.pieces) <= len(longer) and all(map(_is, reading.pieces, longer)):
                return keys
        keys = self.put_all(reading.context(self._ragged))
        self._joined.append((reading.pieces, keys))
        return keys


def _is(one: Arrays, other: Arrays) -> bool:
    return one is other
