"""What the callers of an overloaded server want, and how long they wait for it: requests as bytes that lie ready."""

from dataclasses import dataclass

from google.protobuf.duration_pb2 import Duration

from benchmarks.overload_wire import headers, message
from benchmarks.sentences import REQUESTS, SENTENCES
from seqserve.v1.model_pb2 import ModelSelector
from seqserve.v1.sequence_pb2 import StreamTranslateRequest, TranslateRequest
from seqserve.v1.session_pb2 import Close, Feed, Open, SessionRequest

SERVICE = "/seqserve.v1.SequenceService/"
SESSION_TTL = Duration(seconds=5)
"""A visit that was cut short is forgotten soon."""


@dataclass(frozen=True, slots=True)
class Use:
    """One kind of call."""

    name: str
    share: float
    """Of all calls."""
    deadline_s: float
    head: bytes
    """The headers."""
    begins: tuple[bytes, ...]
    """What is said first: one of these, in turn."""
    turns: tuple[tuple[bytes, ...], ...] = ()
    """What is said after the first answer, after the second, …, as many as `begins` each; the last ends the call."""


def uses(translator: str, classifier: str, sentences: int = 1) -> list[Use]:
    """A page that is translated, a chat that shows words as they come, somebody who is listened to while he speaks.

    `sentences`: in each translation.
    """
    return [
        _translation(translator, "translate", 0.3, 0.5, sentences),
        _translation(translator, "translate, patient", 0.3, 2.0, sentences),
        _stream(translator, "stream", 0.2, 1.0),
        _session(classifier, "session of 4 feeds", 0.2, 1.0),
    ]


def _translation(model: str, name: str, share: float, deadline_s: float, sentences: int) -> Use:
    number = len(SENTENCES)
    pages = [[SENTENCES[(at + n) % number] for n in range(sentences)] for at in range(number)]
    requests = [TranslateRequest(model=ModelSelector(name=model), texts=page) for page in pages]
    said = tuple(message(request.SerializeToString()) for request in requests)
    return Use(name, share, deadline_s, _head("Translate", deadline_s), said)


def _stream(model: str, name: str, share: float, deadline_s: float) -> Use:
    requests = [StreamTranslateRequest(model=ModelSelector(name=model), text=text) for text in SENTENCES]
    said = tuple(message(request.SerializeToString()) for request in requests)
    return Use(name, share, deadline_s, _head("StreamTranslate", deadline_s), said)


def _session(model: str, name: str, share: float, deadline_s: float) -> Use:
    """Opens, says three words and the rest, each when the last one is answered, and closes."""
    number, selector = len(REQUESTS), ModelSelector(name=model)
    opening = message(SessionRequest(open=Open(model=selector, ttl=SESSION_TTL)).SerializeToString())
    closing = message(SessionRequest(close=Close()).SerializeToString())
    turns = zip(*(_feeds(text) for text in REQUESTS), strict=True)
    return Use(
        name,
        share,
        deadline_s,
        _head("Session", deadline_s),
        (opening,) * number,
        (*turns, (closing,) * number),
    )


def _feeds(text: str) -> list[bytes]:
    words = text.split(" ", 3)
    feeds = [Feed(text=word + " ", end_of_input=at == 3) for at, word in enumerate(words)]
    return [message(SessionRequest(feed=feed).SerializeToString()) for feed in feeds]


def _head(method: str, deadline_s: float) -> bytes:
    return headers(SERVICE + method, round(deadline_s * 1000))
