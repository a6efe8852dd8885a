"""Calls of every method, with messages of any kind, alone and one after the other."""

from collections.abc import Iterator
from random import Random

from seqserve.v1.model_pb2 import ModelSelector
from seqserve.v1.multiplex_pb2 import Begin, Frame, MultiplexRequest
from seqserve.v1.sequence_pb2 import TranslateRequest
from seqserve.v1.session_pb2 import Open, SessionRequest
from tests.fuzz.house import house
from tests.fuzz.messages import SESSION, TEXTS, TICKET, Maker
from tests.fuzz.scripts import METHODS, Call, Script, Writer, from_bytes, to_bytes
from tests.fuzz.target import Target

NAMES = (
    *(
        "translator",
        "interpreter",
        "intents",
        "slots",
        "shorter",
        "headlines",
        "text",
        "chat",
        "digits",
        "waves",
    ),
    *("calm", "shapes", "sum", "", "none", "text.step", "translator.encode", "sum.step", "../text"),
)
TENSORS = ("text", "tokens", "token", "numbers", "sum", "total", "h", "features", "k", "lengths")
CARRIED = tuple(
    f"/seqserve.v1.SequenceService/{name}" for name in ("Session", "Translate", "StreamTranslate")
)
OPENS = SessionRequest(open=Open(model=ModelSelector(name="intents"))).SerializeToString()
TRANSLATES = TranslateRequest(
    model=ModelSelector(name="translator"), texts=["the cat sits"]
).SerializeToString()
POOLS = {
    "name": (*NAMES, *TENSORS),
    "model_name": NAMES,
    "version": ("", "1", "2"),
    "model_version": ("", "1", "9"),
    "source_language": ("", "es", "en"),
    "target_language": ("", "en", "xx"),
    "session_id": (SESSION, "", "x" * 24),
    "ticket": (TICKET, b"", b"SQSL\x01\x06random" + b"\0" * 60),
    "page_size": (0, 1, 100, -1, 2**31 - 1),
    "datatype": ("FP32", "INT64", "INT32", "BYTES", "BOOL", "FP64", "FP16", "X"),
    "shape": (1, 2, 3, 0, -1, 2**62),
    "dim": (1, 2, 3, 0, -1),
    "sample_rate": (8000, 0, 16000, -1),
    "parameters": ("sequence_id", "sequence_start", "sequence_end", "timeout", "beam_size", "priority", "x"),
    "beam_size": (1, 2, 16, 0, 17),
    "num_hypotheses": (1, 2, 16, 0),
    "num_alternatives": (0, 1, 8, 100),
    "max_length": (1, 8, 30, 0, 2**31 - 1),
    "horizon": (0, 1, 5, 1000),
    "wait_k": (1, 3, 0, -1),
    "tensors": ("trace_gates", "trace_cells", "trace_h", "x"),
    "turn": (0, 1, 2, 3, -1),
    "input_position": (0, 1, 5, -1),
    "output_position": (0, 1, 8, -1),
    "after_turn": (-1, 0, 1, 2, 99),
    "method": (*CARRIED, "/seqserve.v1.MultiplexService/Multiplex", "", "x"),
    "call": (0, 1, 2, 3, 7),
    "credit": (0, 1, 65_536, 2**32 - 1),
    "message": (OPENS, TRANSLATES, b"", b"\xff", bytes(40_000)),
    "texts": TEXTS[1:8],
    "text": TEXTS,
    "floats": (0.0, 1.0, -1.0),
    "values": (0.0, 1.0, 20.0, 3e38),
}
"""Values that mean something here, by the name of their field; of any other field, those of its type."""

FITTING = {
    "Translate": ("translator", "interpreter"),
    "StreamTranslate": ("translator", "interpreter"),
    "Summarize": ("shorter", "headlines"),
    "StreamSummarize": ("shorter", "headlines"),
    "Classify": ("intents",),
    "Tag": ("slots",),
    "Generate": ("text", "chat"),
    "StreamGenerate": ("text", "chat"),
    "Transcribe": ("digits",),
    "Predict": ("waves", "calm"),
    "Caption": ("shapes",),
    "Score": ("translator", "text", "headlines"),
    "DescribeModel": NAMES[:13],
}
"""Method → models that it is often asked of; of any other, all of them alike."""


def writer(random: Random) -> Writer:
    return Writer(random, Maker(random, POOLS), FITTING)


def play(data: bytes) -> None:
    try:
        script = from_bytes(data)
    except ValueError:
        return
    house().play(script)


def mutate(data: bytes, max_bytes: int, seed: int) -> bytes:
    random = Random(seed)
    writes = writer(random)
    try:
        script: Script = from_bytes(data)
    except ValueError:
        script = ()
    for _ in range(3):
        found = to_bytes(writes.changed(script))
        if len(found) <= max_bytes:
            return found
    return data[:max_bytes]


def seeds() -> Iterator[bytes]:
    """One call of each method, and a session of each kind of model."""
    for path in METHODS:
        random = Random(path)
        yield to_bytes((writer(random).call(path),))
    for name in NAMES[:13]:
        yield session_of(name)
    yield carried()


def carried() -> bytes:
    """A translation and a session in one stream; then one call that is left, and one that floods."""
    frames = (
        Frame(call=1, begin=Begin(method=CARRIED[1]), message=TRANSLATES, half_close=True),
        Frame(call=2, begin=Begin(method=CARRIED[0]), message=OPENS),
        Frame(call=3, begin=Begin(method=CARRIED[0]), message=OPENS, credit=5),
        Frame(call=3, cancel=True),
        Frame(call=4, begin=Begin(method=CARRIED[0])),
        *[Frame(call=4, message=bytes(32_000), more=True)] * 5,
    )
    requests = tuple(MultiplexRequest(frames=[frame]).SerializeToString() for frame in frames[:-3])
    return to_bytes((Call("/seqserve.v1.MultiplexService/Multiplex", requests, None),))


def session_of(name: str) -> bytes:
    inputs = {
        "digits": '"pcm": {"samples": "' + "AAECAwQF" * 40 + '"}',
        "waves": '"features": {"dim": 2, "values": [1, 2, 3, 4]}',
        "calm": '"features": {"dim": 2, "values": [1, 2]}',
        "shapes": '"features": {"dim": 3, "values": [1, 2, 3]}',
        "sum": '"tensors": {"tensors": [{"name": "numbers", "shape": [1], "ints": [3]}]}',
    }
    given = inputs.get(name, '"text": "the cat sits on"')
    lines = (
        f'{{"open": {{"model": {{"name": "{name}"}}, "ttl": "60s", "durability": {{"mode": 3}}}}}}',
        f'{{"turn": 0, "feed": {{{given}}}}}',
        '{"fork": {}}',
        '{"snapshot": {"asTicket": true}}',
        '{"turn": 1, "feed": {"endOfInput": true}}',
        '{"turn": 2, "generate": {"options": {"maxLength": 5}}}',
        '{"turn": 3, "rewind": {"afterTurn": 0}}',
        '{"keepAlive": {}}',
    )
    session = "call /seqserve.v1.SequenceService/Session"
    again = (f'{{"resume": {{"sessionId": "{SESSION}"}}}}', lines[1], '{"generate": {}}', '{"close": {}}')
    return "".join(f"{line}\n" for line in (session, *lines, session, *again)).encode()


TARGET = Target("calls", play, seeds, max_bytes=16_384, mutate=mutate, memory_bytes=8 << 30)
