"""A file of access keys, and what their owners show."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from service.api.access_keys import AccessKey, new_key, to_toml

Metadata = tuple[tuple[str, str], ...]


class KeyFile:
    """A file of access keys, and the keys themselves."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._known: dict[str, AccessKey] = {}
        self.write()

    def add(self, owner: str, *, admin: bool = False, expires: datetime | None = None) -> str:
        key, known = new_key(owner, admin=admin, expires=expires, now=datetime.now(UTC))
        self._known[key] = known
        self.write()
        return key

    def remove(self, key: str) -> None:
        del self._known[key]
        self.write()

    def write(self) -> None:
        fresh = self.path.with_suffix(".new")
        fresh.touch(mode=0o600)
        fresh.write_text(to_toml(self._known.values()))
        fresh.replace(self.path)

    def settings(self) -> dict[str, Any]:
        return {"access_keys_file": str(self.path), "reload_s": 0.1}


def bearer(credentials: str) -> Metadata:
    return (("authorization", f"Bearer {credentials}"),)
