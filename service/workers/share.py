"""What of the settings is one worker's: all together take what one server would."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from service.config import Piece, Settings
from service.errors import ConfigRefused

LAST_PORT = 65535
LEAST_MEMORY_BYTES = 1024 * 1024


def check(settings: Settings) -> None:
    """ConfigRefused where what is set cannot be had with several workers."""
    server, num = settings.server, settings.server.workers
    if settings.store.kind == "memory":
        raise ConfigRefused(
            f"store.kind = 'memory' is within one process, and there are {num} workers: "
            "leave it out, or choose sqlite or redis"
        )
    metrics = range(server.metrics_port, server.metrics_port + num) if server.metrics_port else range(0)
    if server.port in metrics or metrics.stop - 1 > LAST_PORT:
        raise ConfigRefused(
            f"{num} workers have metrics ports from server.metrics_port = {server.metrics_port} on, one each: "
            "choose one after which as many are free"
        )


@contextmanager
def with_store(settings: Settings) -> Iterator[Settings]:
    """The settings with a store that all workers share: a file for as long as they run, where none is set."""
    if settings.store.kind != "none":
        yield settings
        return
    try:
        folder = tempfile.TemporaryDirectory(prefix="seqserve-workers-", ignore_cleanup_errors=True)
    except OSError as error:
        raise ConfigRefused(
            f"workers share a store, and there is no place for one: {error.strerror}; choose one with --store"
        ) from None
    with folder as path:
        yield _with(settings, "store", kind="sqlite", path=Path(path) / "sessions.sqlite")


def share(settings: Settings, index: int, port: int) -> Settings:
    """The settings of one worker. Quotas and queues are each worker's own: callers are not spread evenly."""
    num, server, sessions = settings.server.workers, settings.server, settings.sessions
    mine = _with(
        settings, "server", port=port, metrics_port=server.metrics_port + index if server.metrics_port else 0
    )
    mine = _with(mine, "engine", threads=max(1, settings.engine.threads // num))
    return _with(
        mine,
        "sessions",
        max_sessions=-(-sessions.max_sessions // num),
        max_memory_bytes=max(LEAST_MEMORY_BYTES, sessions.max_memory_bytes // num),
    )


def _with(settings: Settings, name: str, **changes: object) -> Settings:
    piece: Piece = getattr(settings, name)
    return settings.model_copy(update={name: piece.model_copy(update=changes)})
