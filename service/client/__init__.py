"""The client library: translate, classify, stream and keep sessions, from other programs.

    from service.client import Client

    with Client("127.0.0.1:50051") as client:
        for token in client.stream_translate("¿Dónde está la biblioteca?", source="es", target="en"):
            print(token.piece, end="", flush=True)

`AsyncClient` has the same methods for asyncio. Results are plain dataclasses, failures the tree of
`service.client.errors`. Nothing here needs numpy or ONNX Runtime.
"""

from service.client.access import Tls
from service.client.aio import AsyncClient
from service.client.aio_session import AsyncSession
from service.client.errors import (
    Cancelled,
    ClientError,
    DeadlineExceeded,
    InvalidRequest,
    ModelNotFound,
    NotAllowed,
    NotFound,
    NotPossible,
    NotSupported,
    Overloaded,
    ServerFailed,
    SessionBusy,
    SessionLost,
    SessionNotFound,
    Unavailable,
    Unreachable,
    WrongPosition,
)
from service.client.outputs import (
    HeardToken,
    KeptWord,
    Output,
    PredictedStep,
    Span,
    Summary,
    TaggedWord,
    Tagging,
    Tensor,
    Trace,
)
from service.client.prose import Prose, sentences
from service.client.reconnecting import Reconnecting, Resumed
from service.client.results import (
    Alternative,
    Classification,
    Generation,
    Hypothesis,
    LabelScore,
    Model,
    ModelVersion,
    Score,
    SessionInfo,
    Ticket,
    Token,
    Translation,
    Translations,
)
from service.client.session import Session
from service.client.signals import Caption, HeardHypothesis, Pcm, Prediction, Transcription
from service.client.streams import AsyncTokenStream, TokenStream
from service.client.sync import Client
from service.client.throttle import HoldingBack

__all__ = [
    "Alternative",
    "AsyncClient",
    "AsyncSession",
    "AsyncTokenStream",
    "Cancelled",
    "Caption",
    "Classification",
    "Client",
    "ClientError",
    "DeadlineExceeded",
    "Generation",
    "HeardHypothesis",
    "HeardToken",
    "HoldingBack",
    "Hypothesis",
    "InvalidRequest",
    "KeptWord",
    "LabelScore",
    "Model",
    "ModelNotFound",
    "ModelVersion",
    "NotAllowed",
    "NotFound",
    "NotPossible",
    "NotSupported",
    "Output",
    "Overloaded",
    "Pcm",
    "PredictedStep",
    "Prediction",
    "Prose",
    "Reconnecting",
    "Resumed",
    "Score",
    "ServerFailed",
    "Session",
    "SessionBusy",
    "SessionInfo",
    "SessionLost",
    "SessionNotFound",
    "Span",
    "Summary",
    "TaggedWord",
    "Tagging",
    "Tensor",
    "Ticket",
    "Tls",
    "Token",
    "TokenStream",
    "Trace",
    "Transcription",
    "Translation",
    "Translations",
    "Unavailable",
    "Unreachable",
    "WrongPosition",
    "sentences",
]
