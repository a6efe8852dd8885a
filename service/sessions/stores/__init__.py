"""Where snapshots lie: one interface, and a table of the stores there are."""

from collections.abc import Callable

from service.config import StoreSettings
from service.errors import ConfigRefused
from service.metrics import Metrics
from service.sessions.stores.base import Claimed, Health, Page, Store, Stored
from service.sessions.stores.breaker import Breaker
from service.sessions.stores.memory import MemoryStore
from service.sessions.stores.sqlite import SqliteStore

__all__ = ["STORES", "Breaker", "Claimed", "Health", "Page", "Store", "Stored", "open_store"]


def _redis(settings: StoreSettings) -> Store:
    try:
        from service.sessions.stores.redis import RedisStore
    except ImportError:
        raise ConfigRefused("store.kind = 'redis' needs a package: pip install 'seqserve[redis]'") from None
    return RedisStore(settings)


STORES: dict[str, Callable[[StoreSettings], Store | None]] = {
    "none": lambda settings: None,
    "memory": lambda settings: MemoryStore(),
    "sqlite": lambda settings: SqliteStore(settings.path, settings.timeout_s),
    "redis": _redis,
}


def open_store(settings: StoreSettings, metrics: Metrics) -> Breaker | None:
    """The store of the settings, with a breaker around it; None where there is none. Nothing is connected yet."""
    if settings.kind not in STORES:
        raise ConfigRefused(f"store.kind = {settings.kind!r}; valid: {', '.join(STORES)}")
    store = STORES[settings.kind](settings)
    if store is None:
        return None
    return Breaker(store, metrics, failures=settings.breaker_failures, open_s=settings.breaker_open_s)
