"""Settings of sessions: how many, how long, where they are kept, and with which keys they are sealed."""

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr

from service.config.piece import Piece


class SessionSettings(Piece):
    """How many sessions are kept, and for how long."""

    max_sessions: int = Field(100_000, ge=1)
    """Sessions kept in memory; past it, the one idle for longest goes to the store only, and without one new sessions
    are refused."""
    max_memory_bytes: int = Field(1024 * 1024 * 1024, ge=1024 * 1024)
    """Memory of these sessions, with all that they keep; past it, as above."""
    max_sessions_per_owner: int = Field(100_000, ge=1)
    """Sessions of one owner, in memory and in the store."""
    compact_after_s: float = Field(10.0, ge=0)
    """How long after its stream has ended a session is packed into the least memory; then it keeps only `stored_turns`
    of the turns that can be gone back to."""
    max_silence_s: float = Field(3600.0, gt=0)
    """How long a client may say nothing on a stream that holds a session, before the session is ended; `keep_alive`
    starts it again."""
    default_ttl_s: float = Field(300.0, gt=0)
    """How long a session is kept while no stream holds it, where the client does not say."""
    max_ttl_s: float = Field(3600.0, gt=0)
    """The longest that a client may ask for."""
    kept_turns: int = Field(16, ge=1, le=1024)
    """Turns of a session that can be gone back to with `rewind`, while it is in use; each keeps its state."""
    kept_answers: int = Field(32, ge=1, le=4096)
    """Turns of a session whose answers are kept, so that a request that comes again is answered and not run again."""
    kept_outputs: int = Field(4096, ge=1, le=1_000_000)
    """Outputs (tokens) in these answers in all; the answer of the newest turn is kept whatever its length."""
    stored_turns: int = Field(4, ge=1, le=1024)
    """Of the turns that can be gone back to, how many are in a snapshot, and so also after a pause, or elsewhere."""
    default_ticket_ttl_s: float = Field(3600.0, gt=0)
    """How long a ticket is good for, where the client does not say."""
    max_ticket_ttl_s: float = Field(86_400.0, gt=0)
    """The longest that a client may ask for."""
    default_durability_steps: int = Field(8, ge=1, le=1000)
    """Where there is a store: after how many steps a session is written to it at the latest, where the client does not
    say."""


class StoreSettings(Piece):
    """Where snapshots lie, so that sessions outlive this process."""

    kind: str = "none"
    """none, memory (for tests), sqlite (one machine) or redis (several; Valkey as well)."""
    path: Path = Path("sessions.sqlite")
    """File of the sqlite store."""
    url: SecretStr = SecretStr("redis://127.0.0.1:6379/0")
    """Of the redis store; rediss:// for TLS. It may carry user and password, and is never logged."""
    password_file: Path | None = None
    """File with the password of the redis store."""
    tls_ca_file: Path | None = None
    """Certificate authorities that the redis server's certificate is checked against; else the system's."""
    tls_cert_file: Path | None = None
    """This client's certificate, where the redis server asks for one."""
    tls_key_file: Path | None = None
    """The key of tls_cert_file."""
    prefix: str = Field("seqserve", pattern=r"^[A-Za-z0-9_.-]{1,64}$")
    """What the keys of the redis store begin with."""
    timeout_s: float = Field(1.0, gt=0, le=60)
    """How long the store may take for one operation."""
    max_connections: int = Field(16, ge=1, le=1024)
    """Connections to the redis server at once; further operations wait for one."""
    when_away: Literal["refuse_durability", "refuse_requests"] = "refuse_durability"
    """While the store is away: serve on, without durability, or refuse requests of sessions that asked for it."""
    breaker_failures: int = Field(3, ge=1)
    """Failures in a row after which the store counts as away."""
    breaker_open_s: float = Field(0.5, gt=0)
    """How long it is then left alone at most before one operation tries whether it is back; at first 0.1 s."""


class KeySettings(Piece):
    """The keys that seal snapshots and tickets: `id:base64` each, 32 bytes; the first one seals, all of them open."""

    snapshot_keys: SecretStr = SecretStr("")
    """The keys, separated by commas."""
    snapshot_keys_file: Path | None = None
    """A file with one key per line, which only its owner (and group) may read."""
