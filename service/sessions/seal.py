"""Seals bytes so that nobody can read or change them: snapshots in the store, and tickets that clients hold.

    magic "SQSL" · version u8 · key id length u8 │ key id │ expires, ms, u64 │ salt 16 │ nonce 12 │ AES-256-GCM

All that stands before the ciphertext is authenticated with it, and so are the purpose and the owner, which are not
written down: whoever opens names them, and with others the seal does not open. Each seal has a key of its own, derived
from the ring's key, its purpose and the salt, so random nonces never run out, however many snapshots a key seals.
"""

import base64
import binascii
import hashlib
import os
import re
import struct
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from service.config import KeySettings
from service.errors import ConfigRefused, SeqserveError, SnapshotRefused, TicketExpired, TicketRefused
from service.keyfiles import read_secret

Purpose = Literal["snapshot", "ticket"]

REFUSED: Mapping[Purpose, tuple[type[SeqserveError], type[SeqserveError]]] = {
    "snapshot": (SnapshotRefused, SnapshotRefused),
    "ticket": (TicketRefused, TicketExpired),
}
"""What is raised, by purpose: when a seal does not open, and when its time is over."""

KEY_BYTES = 32
MAX_KEYS = 16

_MAGIC = b"SQSL"
_VERSION = 1
_START = struct.Struct("<4sBB")
_REST = struct.Struct("<Q16s12s")
_TAG_BYTES = 16
_NEVER = 2**64 - 1
_KEY_ID = re.compile(r"[A-Za-z0-9_.-]{1,32}")


class Keyring:
    """Keys by id. The first one seals; all of them open, so a new key is put first and the old one leaves later."""

    def __init__(self, keys: Mapping[str, bytes], clock: Callable[[], float] = time.time) -> None:
        if not 1 <= len(keys) <= MAX_KEYS:
            raise ConfigRefused(f"a keyring holds 1 to {MAX_KEYS} keys, not {len(keys)}")
        for key_id, key in keys.items():
            if not _KEY_ID.fullmatch(key_id):
                raise ConfigRefused("a key's id is made of 1 to 32 letters, digits, '_', '.' and '-'")
            if len(key) != KEY_BYTES:
                raise ConfigRefused(f"key {key_id!r} has {len(key)} bytes and needs {KEY_BYTES}")
        self._keys = dict(keys)
        self._clock = clock

    def __repr__(self) -> str:
        return f"Keyring({', '.join(self._keys)})"

    @classmethod
    def random(cls, clock: Callable[[], float] = time.time) -> Self:
        """A ring with a key that nobody knows: what it seals can be opened until this process ends."""
        return cls({"random": os.urandom(KEY_BYTES)}, clock)

    @classmethod
    def from_settings(cls, settings: KeySettings, clock: Callable[[], float] = time.time) -> Self | None:
        """The keys that the settings give; None where they give none."""
        if settings.snapshot_keys_file:
            if settings.snapshot_keys.get_secret_value():
                raise ConfigRefused("give keys.snapshot_keys or keys.snapshot_keys_file, not both")
            return cls.from_file(settings.snapshot_keys_file, clock)
        text = settings.snapshot_keys.get_secret_value()
        return cls(parse_keys(text.replace(",", "\n")), clock) if text.strip() else None

    @classmethod
    def from_file(cls, path: Path, clock: Callable[[], float] = time.time) -> Self:
        """The keys of a file of `id:base64` lines, which others must not be able to read, nor the group to write."""
        return cls(parse_keys(read_secret(path, "key file").decode("utf-8", "replace")), clock)

    def seal(self, data: bytes, *, purpose: Purpose, owner: str, expires_at: float | None = None) -> bytes:
        """The data, readable for this ring, purpose and owner only, until `expires_at` (wall clock, seconds)."""
        key_id = next(iter(self._keys))
        expires = _NEVER if expires_at is None else max(0, round(expires_at * 1000))
        salt, nonce = os.urandom(16), os.urandom(12)
        head = _START.pack(_MAGIC, _VERSION, len(key_id)) + key_id.encode() + _REST.pack(expires, salt, nonce)
        cipher = self._cipher(key_id, purpose, salt)
        return head + cipher.encrypt(nonce, data, _associated(head, purpose, owner))

    def open(self, sealed: bytes, *, purpose: Purpose, owner: str) -> bytes:
        """The data under the seal; TicketRefused, TicketExpired or SnapshotRefused with the reason.

        Expiry is told of genuine ones only; one of another owner is not told from a forged one.
        """
        refused, over = REFUSED[purpose]
        key_id, head_bytes = self._key_of(sealed, purpose)
        head = sealed[:head_bytes]
        expires, salt, nonce = _REST.unpack(head[-_REST.size :])
        cipher = self._cipher(key_id, purpose, salt)
        try:
            data = cipher.decrypt(nonce, sealed[head_bytes:], _associated(head, purpose, owner))
        except InvalidTag:
            raise refused(f"this is not a {purpose} of yours from here, or it was changed") from None
        if expires != _NEVER and self._clock() * 1000 >= expires:
            raise over(f"the time of this {purpose} is over")
        return data

    def _key_of(self, sealed: bytes, purpose: Purpose) -> tuple[str, int]:
        """The id of the key that the head names, and the head's length."""
        refused, _ = REFUSED[purpose]
        if len(sealed) < _START.size + 1 + _REST.size + _TAG_BYTES:
            raise refused(f"the {purpose} is truncated, or not one")
        magic, version, id_bytes = _START.unpack_from(sealed)
        if magic != _MAGIC or version != _VERSION:
            raise refused(f"this is not a {purpose}, or a newer server sealed it")
        head_bytes = _START.size + id_bytes + _REST.size
        if len(sealed) < head_bytes + _TAG_BYTES:
            raise refused(f"the {purpose} is truncated")
        key_id = sealed[_START.size : _START.size + id_bytes].decode("ascii", "replace")
        if not _KEY_ID.fullmatch(key_id):
            raise refused(f"this is not a {purpose} from here")
        if key_id not in self._keys:
            raise refused(f"this server has no key {key_id!r}, with which the {purpose} claims to be sealed")
        return key_id, head_bytes

    def _cipher(self, key_id: str, purpose: Purpose, salt: bytes) -> AESGCM:
        derived = hashlib.blake2b(
            key=self._keys[key_id], salt=salt, person=b"sqsl" + purpose.encode(), digest_size=KEY_BYTES
        )
        return AESGCM(derived.digest())


def parse_keys(text: str) -> dict[str, bytes]:
    """The keys in lines of `id:base64`; empty lines and those that begin with # are left out. No key is ever shown."""
    keys: dict[str, bytes] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not (line := line.strip()) or line.startswith("#"):
            continue
        key_id, colon, encoded = line.partition(":")
        try:
            key = base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError):
            raise ConfigRefused(f"snapshot key {number}: what follows the id is not base64") from None
        if not colon or key_id in keys:
            raise ConfigRefused(f"snapshot key {number}: `id:base64` is expected, each id once")
        keys[key_id] = key
    return keys


def _associated(head: bytes, purpose: Purpose, owner: str) -> bytes:
    """What is authenticated beside the data."""
    return head + purpose.encode().ljust(16, b"\0") + hashlib.sha256(owner.encode("utf-8")).digest()
