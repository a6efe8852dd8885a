"""All settings, read and checked."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, SecretStr, ValidationError

from service.config.access import AuthSettings, TlsSettings
from service.config.limits import LimitSettings, QuotaSettings
from service.config.models import EngineSettings, ModelSettings, SchedulerSettings
from service.config.piece import Piece
from service.config.server import ServerSettings
from service.config.sessions import KeySettings, SessionSettings, StoreSettings
from service.config.sources import given
from service.config.telling import LogSettings, TraceSettings
from service.errors import ConfigRefused


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
        for origin, key, value in given(
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
    return {key: origin for origin, key, _ in given(file, flags or {}, os.environ)}


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
    value = "(hidden)" if _is_secret(key) else repr(error["input"])
    message = error["msg"].removeprefix("Value error, ")
    return f"{key} = {value} ({origins.get(key, 'settings')}): {message}"


def _is_secret(key: str) -> bool:
    piece, _, name = key.partition(".")
    field = type(Settings.model_fields[piece].default).model_fields.get(name.partition(".")[0])
    return field is not None and field.annotation is SecretStr
