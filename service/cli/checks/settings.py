"""The settings as a server would read them, and where each comes from. Secrets are never shown."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from service.cli.checks.finding import Finding, problem
from service.config import Settings, origins
from service.errors import ConfigRefused

HIDDEN = "(hidden)"
ADVICE = (
    "correct it where it was given, or take it away: docs/reference.md lists the settings and their defaults"
)


def read(config: Path | None, flags: Mapping[str, Any]) -> tuple[Settings | None, list[Finding]]:
    """The settings, None where they are refused, and what there is to say."""
    try:
        settings = Settings.load(config, flags)
    except ConfigRefused as error:
        return None, [problem("settings", str(error), ADVICE)]
    return settings, list(_told(settings, origins(config, flags)))


def _told(settings: Settings, given: Mapping[str, str]) -> Iterator[Finding]:
    every = dict(_values(settings))
    text = f"{len(given)} given, {len(every) - len(given)} as they come" if given else "all as they come"
    yield Finding("settings", text)
    for key, value in every.items():
        origin = given.get(key, "default")
        facts = {"value": value, "from": origin}
        yield Finding(key, f"{value}  (from {origin})" if key in given else "", facts=facts)


def _values(settings: Settings) -> Iterator[tuple[str, Any]]:
    """Every setting by its dotted name, as JSON can carry it."""
    for piece in Settings.model_fields:
        part = getattr(settings, piece)
        for name in type(part).model_fields:
            yield f"{piece}.{name}", _plain(getattr(part, name))


def _plain(value: Any) -> Any:
    if isinstance(value, SecretStr):
        return HIDDEN if value.get_secret_value() else ""
    return str(value) if isinstance(value, Path) else value
