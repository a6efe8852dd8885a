"""Where settings come from: a file, the environment and flags, as pairs of a dotted key and a value."""

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from service.config.limits import TABLES
from service.errors import ConfigRefused

PREFIX = "SEQSERVE_"


def given(
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
