"""The settings: one frozen piece per part; defaults < TOML file < environment < flags.

A variable `SEQSERVE_SERVER__PORT` is the setting `port` of the piece `server`. Variables without the double underscore
are not settings (Kubernetes makes some of its own for a service called seqserve).
"""

import json
import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator

from service.cgroup import usable_cores
from service.errors import ConfigRefused

PREFIX = "SEQSERVE_"


class Piece(BaseModel):
    """Frozen; an unknown key is an error; no NaN and no infinity."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


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
        return usable_cores() if value == "auto" else value


class TlsSettings(Piece):
    """TLS on the port. The files are looked at again at each new connection, and taken up when they have changed."""

    cert_file: Path | None = None
    """The server's certificate and those between it and its authority, in PEM; without it the port has no TLS."""
    key_file: Path | None = None
    """The key of cert_file, in PEM without a passphrase; only its owner (and group) may read it."""
    client_ca_file: Path | None = None
    """Authorities of which clients have to show a certificate (mutual TLS); its subject is then the owner."""


class AuthSettings(Piece):
    """Who a caller is. Where one of these is set, a call without credentials is refused."""

    access_keys_file: Path | None = None
    """Keys of owners, hashed, as `seqserve keys` writes them."""
    jwks_file: Path | None = None
    """Public keys (JSON Web Key Set, RFC 7517) of those whose JSON Web Tokens are taken."""
    jwt_issuer: str = ""
    """What `iss` of a token must be; needed with jwks_file."""
    jwt_audience: str = ""
    """What `aud` of a token must be, or hold; needed with jwks_file."""
    jwt_leeway_s: float = Field(30.0, ge=0, le=600)
    """How far the issuer's clock may be from this one's."""
    jwt_owner_claim: str = Field("sub", min_length=1)
    """The claim that names the owner."""
    jwt_roles_claim: str = Field("roles", min_length=1)
    """The claim that lists roles: `admin` is the only one that has to be named."""
    admins: tuple[str, ...] = ()
    """Owners who have the role admin however they prove who they are; separated by commas in the environment."""
    reload_s: float = Field(5.0, ge=0.1, le=3600)
    """How often the files are looked at for changes."""

    @field_validator("admins", mode="before")
    @classmethod
    def _one_by_one(cls, value: Any) -> Any:
        return (
            [name.strip() for name in value.split(",") if name.strip()] if isinstance(value, str) else value
        )


class QuotaLimits(Piece):
    """What some owners may use, where that differs; what is left out is as for everybody."""

    requests_per_s: float | None = Field(None, ge=0, le=1e6)
    tokens_per_s: float | None = Field(None, ge=0, le=1e9)
    burst_s: float | None = Field(None, ge=0.1, le=3600)
    max_calls: int | None = Field(None, ge=0, le=1_000_000)


class QuotaSettings(Piece):
    """What one owner may use of this server; 0 is no limit. Past it, RESOURCE_EXHAUSTED says when to try again."""

    requests_per_s: float = Field(0.0, ge=0, le=1e6)
    """Calls, and messages sent on a stream."""
    tokens_per_s: float = Field(0.0, ge=0, le=1e9)
    """Tokens read and written. They are counted when they are known: who has used too many waits with the next call."""
    burst_s: float = Field(10.0, ge=0.1, le=3600)
    """How many seconds' worth of both may be used at once, after a pause."""
    max_calls: int = Field(0, ge=0, le=1_000_000)
    """Calls at once, streams among them."""
    max_priority: Literal["high", "normal", "low"] = "high"
    """The highest priority that callers may ask for; who asks for more gets this one."""
    owners: dict[str, QuotaLimits] = {}
    """Owners with limits of their own: `[quotas.owners."alice@example.org"]`; as JSON in the environment."""
    roles: dict[Literal["use", "admin"], QuotaLimits] = {}
    """The same for all who have a role and are not named as owners; who has admin counts as admin only."""
    max_owners: int = Field(100_000, ge=1)
    """Owners whose use is remembered; past it, whoever was away for longest begins anew."""

    @field_validator("owners", "roles", mode="before")
    @classmethod
    def _from_json(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return json.loads(value)
        except ValueError:
            raise ValueError('a table is expected, as JSON: {"alice": {"max_calls": 10}}') from None


TABLES = {"quotas.owners", "quotas.roles"}
"""Settings that are tables themselves: what their keys are called is not ours to say."""


class ModelSettings(Piece):
    """Where the models lie."""

    repository: Path = Path("models")
    """Folder with `<name>/<version>/manifest.json`."""


class EngineSettings(Piece):
    """How graphs run."""

    device: Literal["cpu", "cuda"] = "cpu"
    """cuda needs onnxruntime-gpu; answers are then not the same bit for bit, and eight-bit products stay on the CPU."""
    threads: int = Field(1, ge=1, le=256)
    """Threads inside one graph. One is best for small models: other models and the wire use the other cores."""


class SchedulerSettings(Piece):
    """How steps become batches, and how many may wait."""

    max_batch: int = Field(64, ge=1, le=4096)
    """Rows of one batch."""
    max_queue: int = Field(1024, ge=1)
    """Jobs of one model accepted and not finished; past it, requests are refused at once."""
    max_wait_s: float = Field(2.0, gt=0)
    """How long a job of one model may be expected to wait, in a burst; where it would be longer, requests are refused
    at once."""
    standing_wait_s: float = Field(0.3, gt=0)
    """The same where the queue has not been short for a second: it is overload then, and a longer wait helps nobody."""
    max_run_s: float = Field(60.0, gt=0)
    """How long one batch may run; past it, it is ended, and those who are in it are told that it failed."""
    max_encode_tokens: int = Field(1024, ge=1)
    """Padded tokens (rows × longest) of one batch of a graph that reads sequences: bounds how long running streams
    wait for a new one to be read. A longer row runs alone."""
    max_context_tokens: int = Field(16384, ge=1)
    """Padded tokens of context in one batch of any other graph: a long text does not slow its batch-mates."""


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


class LimitSettings(Piece):
    """What one request may bring."""

    max_texts: int = Field(256, ge=1)
    """Texts in one request."""
    max_text_bytes: int = Field(100_000, ge=1)
    """UTF-8 bytes of one text."""


class TraceSettings(Piece):
    """OpenTelemetry traces of calls; needs the extra `otel`."""

    endpoint: str = ""
    """Where spans are sent by OTLP over gRPC, such as `http://127.0.0.1:4317` (https:// for TLS); empty: no traces."""
    sample: float = Field(1.0, ge=0, le=1)
    """Share of calls that are traced, of those whose caller has not decided that (W3C traceparent)."""
    service_name: str = Field("seqserve", min_length=1, max_length=128)
    """What the spans say that they are of."""


class LogSettings(Piece):
    """What is logged, and how."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least that is logged."""
    format: Literal["console", "json"] = "console"
    """console for people, json for machines."""
    texts: bool = False
    """Whether level debug shows what callers send and are answered, word for word. For looking for faults only."""


class Settings(Piece):
    """All settings; each part receives only its own piece."""

    server: ServerSettings = ServerSettings()
    models: ModelSettings = ModelSettings()
    engine: EngineSettings = EngineSettings()
    scheduler: SchedulerSettings = SchedulerSettings()
    sessions: SessionSettings = SessionSettings()
    store: StoreSettings = StoreSettings()
    keys: KeySettings = KeySettings()
    limits: LimitSettings = LimitSettings()
    tls: TlsSettings = TlsSettings()
    auth: AuthSettings = AuthSettings()
    quotas: QuotaSettings = QuotaSettings()
    trace: TraceSettings = TraceSettings()
    log: LogSettings = LogSettings()

    @classmethod
    def load(
        cls,
        file: Path | None = None,
        flags: Mapping[str, Any] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> "Settings":
        """Read the file, the environment (the process's own by default) and the flags; ConfigRefused if one is wrong.

        Flags are nested (`{"server": {"port": 1}}`) or dotted (`{"server.port": 1}`); None means not given.
        """
        values: dict[str, Any] = {}
        origins: dict[str, str] = {}
        for origin, key, value in _given(
            file, flags or {}, os.environ if environment is None else environment
        ):
            _put(values, key, value, origin)
            origins[key] = origin
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise ConfigRefused("; ".join(_explain(e, origins) for e in error.errors())) from None


def origins(file: Path | None = None, flags: Mapping[str, Any] | None = None) -> dict[str, str]:
    """Where each setting was given that is not a default, by its dotted key: as `Settings.load` reads them."""
    return {key: origin for origin, key, _ in _given(file, flags or {}, os.environ)}


def _given(
    file: Path | None, flags: Mapping[str, Any], environment: Mapping[str, str]
) -> Iterator[tuple[str, str, Any]]:
    """Yield (where it was given, dotted key, value); later ones win."""
    for key, value in _leaves(_toml(file) if file else {}):
        yield str(file), key, value
    for name, text in sorted(environment.items()):
        if name.startswith(PREFIX) and "__" in name:
            yield f"environment {name}", name.removeprefix(PREFIX).lower().replace("__", "."), text
    for key, value in _leaves(flags):
        if value is not None:
            yield "flags", key, value


def _toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigRefused(f"cannot read the settings file {file}: {error.strerror}") from None
    except ValueError as error:
        raise ConfigRefused(f"the settings file {file} is not TOML: {error}") from None


def _leaves(tree: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, Mapping) and f"{above}{key}" not in TABLES:
            yield from _leaves(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value


def _put(values: dict[str, Any], key: str, value: Any, origin: str) -> None:
    """Put a value under its dotted key; a piece itself cannot be a value."""
    piece, _, name = key.partition(".")
    _known(piece, Settings, piece, origin)
    _known(name, type(Settings.model_fields[piece].default), key, origin)
    values.setdefault(piece, {})[name] = value


def _known(name: str, model: type[BaseModel], key: str, origin: str) -> None:
    if name not in model.model_fields:
        raise ConfigRefused(
            f"no setting is called {key!r} ({origin}); valid: {', '.join(model.model_fields)}"
        )


def _explain(error: Any, origins: Mapping[str, str]) -> str:
    key = ".".join(map(str, error["loc"]))
    given = "(hidden)" if _is_secret(key) else repr(error["input"])
    return f"{key} = {given} ({origins.get(key, 'settings')}): {error['msg']}"


def _is_secret(key: str) -> bool:
    piece, _, name = key.partition(".")
    field = type(Settings.model_fields[piece].default).model_fields.get(name.partition(".")[0])
    return field is not None and field.annotation is SecretStr
