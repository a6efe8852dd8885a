"""Settings of the server itself: where it listens, and how much it takes on."""

from typing import Any

from pydantic import Field, field_validator

from service.cgroup import usable_cores
from service.config.piece import Piece


class ServerSettings(Piece):
    """The listening socket and the bounds of the wire."""

    host: str = "127.0.0.1"
    """Address to listen on."""
    port: int = Field(50051, ge=0, le=65535)
    """Port to listen on; 0 takes a free one."""
    workers: int = Field(1, ge=1, le=256)
    """Processes that share the port, each with models and memory of its own; `auto`: one for each core that this
    process may use. Where there is no store, sessions are kept in one as long as they run."""
    grace_s: float = Field(30.0, ge=0)
    """How long running requests may go on after SIGTERM."""
    max_message_bytes: int = Field(4 * 1024 * 1024, ge=128 * 1024)
    """Largest message that is read or written."""
    max_concurrent_streams: int = Field(1024, ge=1)
    """Calls at once on one connection, and again as many that its streams carry."""
    max_pending_calls: int = Field(64, ge=1)
    """Calls that have come and that nobody has looked at yet; past it, gRPC turns them away with CANCELLED."""
    keepalive_s: float = Field(60.0, ge=1)
    """How often a silent connection is asked whether it still stands."""
    max_metadata_bytes: int = Field(8192, ge=1024, le=1024 * 1024)
    """Headers of one call, as HTTP/2 counts them; past it, the call is refused."""
    max_connections: int = Field(10_000, ge=1)
    """Connections at once; further ones are closed at once."""
    handshake_s: float = Field(20.0, ge=1, le=600)
    """How long a new connection may take until it can carry calls."""
    max_idle_s: float = Field(900.0, ge=1)
    """How long a connection without a call stands, and a stream that could carry calls and carries none."""
    max_request_wait_s: float = Field(30.0, gt=0)
    """How long a caller may take to send the one request of a call."""
    max_opening_s: float = Field(300.0, gt=0)
    """How long a stream may stand before its first message comes."""
    max_unread_s: float = Field(60.0, gt=0)
    """How long an answer may lie there unread before its call is ended; a session stays, and can be resumed."""
    max_unread: int = Field(1000, ge=1)
    """Answers that may lie unread for longer than a second, all connections together; past it, those on which eight or
    more lie are refused further calls."""
    admin: bool = False
    """Whether callers who have the role admin may load and unload models."""
    unload_deadline_s: float = Field(300.0, ge=0)
    """How long the sessions of a model that is unloaded may go on, where the caller does not say."""
    trust_owner_header: bool = False
    """Whether the header `seqserve-owner` says who a caller is. Only behind a proxy that sets it itself."""
    allow_plaintext: bool = False
    """Means it: no TLS on an address that other machines can reach (`--allow-plaintext`)."""
    allow_anonymous: bool = False
    """Means it: callers without credentials on such an address, or beside those who have some (`--allow-anonymous`)."""
    allow_open_admin: bool = False
    """Means it: on such an address everybody has the role admin (`--allow-open-admin`)."""
    metrics_port: int = Field(0, ge=0, le=65535)
    """Port of the Prometheus page; 0 turns it off. It speaks TLS and asks for credentials where the other port does."""
    open_metrics: bool = False
    """Means it: the Prometheus page in plain HTTP, for everybody who reaches it (`--open-metrics`)."""

    @field_validator("workers", mode="before")
    @classmethod
    def _as_many_as_cores(cls, value: Any) -> Any:
        if isinstance(value, str) and not value.strip().isdecimal():
            if value != "auto":
                raise ValueError("expected a number, or auto for one of each core")
            return usable_cores()
        return value
