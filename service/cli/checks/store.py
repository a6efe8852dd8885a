"""The store and the keys: whether sessions would outlive the server."""

import asyncio
import os
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from service.cli.checks.finding import Finding, problem, refused
from service.config import Settings, StoreSettings
from service.errors import ConfigRefused
from service.sessions.seal import Keyring
from service.sessions.stores import STORES, Health

PINGS = 5
KEYS_ADVICE = 'write a line id:base64 with 32 random bytes: echo "k1:$(openssl rand -base64 32)"'
AWAY_ADVICE = {
    "sqlite": "choose a file in a folder that can be written to: --store sqlite:FILE",
    "redis": "start it, or correct store.url, store.password_file or the store.tls_… settings",
}


def store(settings: Settings) -> Iterator[Finding]:
    yield _keys(settings)
    kind = settings.store.kind
    if kind == "none":
        text = "none: sessions end with this process (--store sqlite, or redis://HOST:PORT, keeps them)"
        yield Finding("store", text, facts={"kind": kind})
    elif kind == "sqlite" and not settings.store.path.exists():
        yield _new_file(settings.store.path)
    else:
        yield _reached(settings.store)


def _keys(settings: Settings) -> Finding:
    try:
        ring = Keyring.from_settings(settings.keys)
    except ConfigRefused as error:
        return refused("keys", error, KEYS_ADVICE)
    text = "given, and in order" if ring else "none: snapshots are not sealed, tickets end with this process"
    return Finding("keys", text, facts={"given": ring is not None})


def _new_file(path: Path) -> Finding:
    """A file that is not there yet is not made by looking."""
    folder = path.absolute().parent
    if not os.access(folder, os.W_OK | os.X_OK):
        return problem("store", f"{folder} cannot be written to", AWAY_ADVICE["sqlite"], kind="sqlite")
    return Finding("store", f"sqlite: {path} will be made", facts={"kind": "sqlite"})


def _reached(settings: StoreSettings) -> Finding:
    if settings.kind not in STORES:
        return problem("store", f"no store is called {settings.kind!r}", f"valid: {', '.join(STORES)}")
    try:
        health, seconds = asyncio.run(_asked(settings))
    except ConfigRefused as error:
        return problem("store", str(error), "do so, or choose another store: --store sqlite")
    if not health.serving:
        advice = AWAY_ADVICE.get(settings.kind, "choose another store")
        return problem(
            "store", f"{settings.kind} does not answer: {health.detail}", advice, kind=settings.kind
        )
    facts = {"kind": settings.kind, "ping_ms": round(seconds * 1000, 2)}
    return Finding("store", f"{settings.kind} answers in {facts['ping_ms']} ms", facts=facts)


async def _asked(settings: StoreSettings) -> tuple[Health, float]:
    """The store's health, and the median time of a few signs of life."""
    opened = STORES[settings.kind](settings)
    assert opened is not None
    times: list[float] = []
    try:
        for _ in range(PINGS):
            started = time.perf_counter()
            health = await opened.health()
            times.append(time.perf_counter() - started)
            if not health.serving:
                break
    finally:
        await opened.close()
    return health, median(times)
