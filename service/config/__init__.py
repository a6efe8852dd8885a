"""The settings: one frozen piece per part; defaults < TOML file < environment < flags.

A variable `SEQSERVE_SERVER__PORT` is the setting `port` of the piece `server`. Variables without the double underscore
are not settings (Kubernetes makes some of its own for a service called seqserve).
"""

from service.config.access import AuthSettings, TlsSettings
from service.config.limits import LimitSettings, QuotaLimits, QuotaSettings
from service.config.models import EngineSettings, ModelSettings, SchedulerSettings
from service.config.piece import Piece
from service.config.server import ServerSettings
from service.config.sessions import KeySettings, SessionSettings, StoreSettings
from service.config.settings import Settings, origins
from service.config.telling import LogSettings, TraceSettings

__all__ = [
    "AuthSettings",
    "EngineSettings",
    "KeySettings",
    "LimitSettings",
    "LogSettings",
    "ModelSettings",
    "Piece",
    "QuotaLimits",
    "QuotaSettings",
    "SchedulerSettings",
    "ServerSettings",
    "SessionSettings",
    "Settings",
    "StoreSettings",
    "TlsSettings",
    "TraceSettings",
    "origins",
]
