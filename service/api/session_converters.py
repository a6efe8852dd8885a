"""Messages of the Session stream ⇄ plain values."""

from typing import Any

from google.protobuf import duration_pb2

from seqserve.v1 import session_pb2
from service.api.converters import (
    finish_to_proto,
    heard_to_proto,
    hypothesis_to_proto,
    label_to_proto,
    model_version_to_proto,
    options_from_proto,
    predicted_to_proto,
    token_to_proto,
    word_to_proto,
)
from service.api.input_converters import (
    features_from_proto,
    pcm_from_proto,
    tensor_to_proto,
    tensors_from_proto,
)
from service.errors import InvalidInput
from service.sessions import Durability, Mode, Parted, Session, Why
from service.tasks.answers import Answer
from service.tasks.intake import Given
from service.tasks.kind import Kind
from service.tasks.look import Look
from service.tasks.said import Trace
from service.tasks.simultaneous import Policy

MAX_DURABILITY_STEPS = 1000

_MODES: dict[session_pb2.DurabilityMode.ValueType, Mode] = {
    session_pb2.DURABILITY_MODE_NONE: Mode.NONE,
    session_pb2.DURABILITY_MODE_EVERY_N_STEPS: Mode.EVERY_N_STEPS,
    session_pb2.DURABILITY_MODE_EVERY_STEP: Mode.EVERY_STEP,
}
_MODES_TO_PROTO = {mode: number for number, mode in _MODES.items()}
_MOVED = {
    Why.CLAIMED: session_pb2.MOVED_REASON_CLAIMED,
    Why.DRAINING: session_pb2.MOVED_REASON_DRAINING,
}
_EVICTED = {
    Why.CLOSED: session_pb2.EVICTED_REASON_CLOSED,
    Why.MODEL_UNLOADED: session_pb2.EVICTED_REASON_MODEL_UNLOADED,
    Why.EXPIRED: session_pb2.EVICTED_REASON_EXPIRED,
}


def ttl_from_proto(request: session_pb2.Open) -> float | None:
    return request.ttl.seconds + request.ttl.nanos / 1e9 if request.HasField("ttl") else None


def ticket_ttl_from_proto(request: session_pb2.Snapshot) -> float | None:
    ttl = request.ticket_ttl
    return ttl.seconds + ttl.nanos / 1e9 if request.HasField("ticket_ttl") else None


def durability_from_proto(message: session_pb2.Durability, default: Durability) -> Durability:
    """What was asked for; `default` where nothing was."""
    if message.mode == session_pb2.DURABILITY_MODE_UNSPECIFIED:
        return default
    if message.mode not in _MODES:
        raise InvalidInput(f"a durability has no mode {message.mode}", field="open.durability.mode")
    mode = _MODES[message.mode]
    if mode is not Mode.EVERY_N_STEPS:
        return Durability(mode)
    if not 0 <= message.num_steps <= MAX_DURABILITY_STEPS:
        raise InvalidInput(
            f"num_steps must be 1 to {MAX_DURABILITY_STEPS:,}, or 0 for the default, not {message.num_steps}",
            field="open.durability.num_steps",
        )
    return Durability(mode, message.num_steps or default.num_steps or 1)


def durability_to_proto(durability: Durability) -> session_pb2.Durability:
    return session_pb2.Durability(mode=_MODES_TO_PROTO[durability.mode], num_steps=durability.num_steps)


def manner_from_proto(request: session_pb2.Open, kind: Kind) -> dict[str, Any]:
    """What an open asks of all answers, as a session keeps it."""
    manner: dict[str, Any] = {}
    if request.HasField("inspect"):
        inspect = request.inspect
        look = Look.of(kind.served.manifest, kind.reader.graph, inspect.tensors, inspect.units)
        manner["inspect"] = look.to_json()
    if request.HasField("simultaneous"):
        asked = request.simultaneous
        options = options_from_proto(asked.options, kind.served.manifest, "open.simultaneous.options")
        manner["simultaneous"] = Policy.of(kind.served.manifest, asked.wait_k, options).to_json()
    return manner


def turn_from_proto(request: session_pb2.SessionRequest) -> int | None:
    if not request.HasField("turn"):
        return None
    if request.turn < 0:
        raise InvalidInput(f"turns are numbered from 0; {request.turn} is none", field="turn")
    return request.turn


def position_from_proto(message: session_pb2.Feed | session_pb2.Generate) -> int | None:
    """The position that the caller gives, of inputs in a feed and of outputs in a generate."""
    if isinstance(message, session_pb2.Feed):
        return message.input_position if message.HasField("input_position") else None
    return message.output_position if message.HasField("output_position") else None


def input_from_proto(feed: session_pb2.Feed) -> Given:
    kind = feed.WhichOneof("input")
    if kind == "text":
        return feed.text
    if kind == "token_ids":
        return list(feed.token_ids.ids)
    if kind == "features":
        return features_from_proto(feed.features, "feed.features")
    if kind == "pcm":
        return pcm_from_proto(feed.pcm, "feed.pcm")
    if kind == "tensors":
        return tensors_from_proto(feed.tensors.tensors, "feed.tensors")
    if not feed.end_of_input:
        raise InvalidInput(
            "a feed needs text, token_ids, features, pcm, tensors or end_of_input", field="feed.input"
        )
    return None


def duration_to_proto(seconds: float) -> duration_pb2.Duration:
    duration = duration_pb2.Duration()
    duration.FromMilliseconds(round(seconds * 1000))
    return duration


def opened_to_proto(session: Session) -> session_pb2.SessionResponse:
    opened = session_pb2.Opened(
        session_id=session.id,
        model=model_version_to_proto(session.served),
        input_position=session.standing.input_position,
        output_position=session.standing.output_position,
        ttl=duration_to_proto(session.ttl_s),
        next_turn=session.log.next_turn,
        durability=durability_to_proto(session.durability),
    )
    return session_pb2.SessionResponse(opened=opened, durable_turn=session.durable_turn)


def answer_to_proto(answer: Answer) -> session_pb2.SessionResponse:
    said = answer.said
    output = session_pb2.Output(
        input_position=answer.input_position,
        output_position=answer.output_position,
        labels=map(label_to_proto, said.labels),
        tokens=map(token_to_proto, answer.tokens),
        finish_reason=finish_to_proto(answer.hypotheses),
        hypotheses=map(hypothesis_to_proto, answer.hypotheses or ()),
    )
    if (
        said.words or said.heard or said.steps or said.tensors or said.traces
    ):  # few models say them, and each costs
        output.words.extend(map(word_to_proto, said.words))
        output.heard.extend(map(heard_to_proto, said.heard))
        output.steps.extend(map(predicted_to_proto, said.steps))
        output.tensors.extend(map(tensor_to_proto, said.tensors))
        output.traces.extend(map(trace_to_proto, said.traces))
    return session_pb2.SessionResponse(output=output, turn=answer.turn)


def trace_to_proto(trace: Trace) -> session_pb2.Trace:
    return session_pb2.Trace(name=trace.name, units=trace.units, values=trace.values.ravel())


def rewound_to_proto(answer: Answer) -> session_pb2.SessionResponse:
    rewound = session_pb2.Rewound(
        input_position=answer.input_position, output_position=answer.output_position
    )
    return session_pb2.SessionResponse(rewound=rewound, turn=answer.turn)


def forked_to_proto(fork: Session) -> session_pb2.SessionResponse:
    return session_pb2.SessionResponse(forked=session_pb2.Forked(session_id=fork.id))


def kept_alive_to_proto(session: Session) -> session_pb2.SessionResponse:
    return session_pb2.SessionResponse(kept_alive=session_pb2.KeptAlive(ttl=duration_to_proto(session.ttl_s)))


def snapshotted_to_proto(ticket: bytes = b"", expires_at: float | None = None) -> session_pb2.SessionResponse:
    snapshotted = session_pb2.Snapshotted(ticket=ticket)
    if expires_at is not None:
        snapshotted.expires.FromMilliseconds(round(expires_at * 1000))
    return session_pb2.SessionResponse(snapshotted=snapshotted)


def closed_to_proto(session: Session) -> session_pb2.SessionResponse:
    standing = session.standing
    closed = session_pb2.Closed(
        input_position=standing.input_position, output_position=standing.output_position
    )
    return session_pb2.SessionResponse(closed=closed)


def parted_to_proto(parted: Parted) -> session_pb2.SessionResponse:
    if parted.why in _MOVED:
        moved = session_pb2.Moved(reason=_MOVED[parted.why], message=str(parted))
        return session_pb2.SessionResponse(moved=moved)
    evicted = session_pb2.Evicted(reason=_EVICTED[parted.why], message=str(parted))
    return session_pb2.SessionResponse(evicted=evicted)
