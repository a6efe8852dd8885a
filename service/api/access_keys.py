"""Access keys: a file of hashed keys, each with its owner and roles.

    sqk_<id>_<secret>      id: 8 characters, stands in the file; secret: 32 random bytes, stands nowhere

As a key is random and long, one SHA-256 of it is as good as any slow hash: nobody can try 2²⁵⁶ of them.
"""

import hashlib
import hmac
import json
import re
import secrets
import tomllib
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from service.api.callers import MAX_OWNER_CHARS, Caller, roles_of
from service.errors import ConfigRefused, Unauthenticated
from service.keyfiles import read_secret

PREFIX = "sqk_"
HEADER = "# Access keys of a seqserve server: `seqserve keys` writes this file. Only hashes of the keys stand here.\n"
MAX_KEYS = 10_000
_KEY = re.compile(rf"{PREFIX}([a-z2-7]{{8}})_([A-Za-z0-9_-]{{43}})")
_ID_LETTERS = "abcdefghijklmnopqrstuvwxyz234567"


def _in_utc(moment: datetime) -> datetime:
    """Times without a zone, as somebody may have written them by hand, are taken for UTC."""
    try:
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except OverflowError:
        raise ValueError("a time that is in no year of the calendar, in UTC") from None


Moment = Annotated[datetime, AfterValidator(_in_utc)]


class AccessKey(BaseModel):
    """One key, as the file knows it; times are in UTC."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(pattern=r"^[a-z2-7]{8}$")
    owner: str = Field(min_length=1, max_length=MAX_OWNER_CHARS)
    roles: tuple[Literal["use", "admin"], ...] = ("use",)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", repr=False)
    created: Moment
    expires: Moment | None = None


class AccessKeys:
    """The keys of one file. What is compared is compared in constant time."""

    def __init__(self, keys: Iterable[AccessKey]) -> None:
        self._keys: Mapping[str, AccessKey] = {key.id: key for key in keys}

    def caller(self, key: str, now: datetime) -> Caller:
        """Whose key it is; Unauthenticated where it is nobody's, or its time is over."""
        found = _KEY.fullmatch(key)
        known = self._keys.get(found[1]) if found else None
        # Compared with something in any case: how long it takes tells nothing about which ids there are.
        matches = hmac.compare_digest(hashed(key), known.sha256 if known else "0" * 64)
        if known is None or not matches:
            raise Unauthenticated("this is no access key of this server", why="unknown_key")
        if known.expires and known.expires <= now:
            raise Unauthenticated(f"the time of access key {known.id} is over", why="expired_key")
        good_until = known.expires.timestamp() if known.expires else float("inf")
        return Caller(known.owner, roles_of(known.roles), good_until)


def is_access_key(credentials: str) -> bool:
    return credentials.startswith(PREFIX)


def hashed(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()


def new_key(owner: str, *, admin: bool, expires: datetime | None, now: datetime) -> tuple[str, AccessKey]:
    """A key, which is shown once, and what the file keeps of it."""
    key_id = "".join(secrets.choice(_ID_LETTERS) for _ in range(8))
    key = f"{PREFIX}{key_id}_{secrets.token_urlsafe(32)}"
    roles: tuple[Literal["use", "admin"], ...] = ("use", "admin") if admin else ("use",)
    known = AccessKey(id=key_id, owner=owner, roles=roles, sha256=hashed(key), created=now, expires=expires)
    return key, known


def read_keys(path: Path) -> list[AccessKey]:
    """The keys of a file that others cannot read; ConfigRefused, in which no hash is shown."""
    try:
        tree = tomllib.loads(
            read_secret(path, "file of access keys", max_bytes=MAX_KEYS * 512).decode("utf-8")
        )
        keys = [AccessKey.model_validate(one) for one in tree.pop("key", [])]
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise ConfigRefused(f"{path}: a key is not as `seqserve keys` writes it: {wrong}") from None
    except (ValueError, TypeError, AttributeError) as error:
        raise ConfigRefused(f"{path} is no file of access keys: {type(error).__name__}") from None
    ids = [key.id for key in keys]
    if tree or len(set(ids)) < len(ids) or len(ids) > MAX_KEYS:
        raise ConfigRefused(f"{path}: holds something else than up to {MAX_KEYS:,} keys, each id once")
    return keys


def to_toml(keys: Iterable[AccessKey]) -> str:
    """The text of the file."""
    return HEADER + "".join(_entry(key) for key in keys)


def _entry(key: AccessKey) -> str:
    lines = [
        "\n[[key]]",
        f"id = {_quoted(key.id)}",
        f"owner = {_quoted(key.owner)}",
        f"roles = [{', '.join(map(_quoted, key.roles))}]",
        f"sha256 = {_quoted(key.sha256)}",
        f"created = {_moment(key.created)}",
    ]
    if key.expires:
        lines.append(f"expires = {_moment(key.expires)}")
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _moment(moment: datetime) -> str:
    return f"{moment.replace(tzinfo=None).isoformat()}Z"
