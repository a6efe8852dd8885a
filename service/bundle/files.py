"""The files of a bundle's folder: plain ones, read through no link, none larger than it may be."""

import hashlib
import stat
from pathlib import Path, PurePosixPath

from service.bundle.manifest import Manifest
from service.bundle.weights import WEIGHTS
from service.errors import BundleRefused

MANIFEST = "manifest.json"
MAX_MANIFEST_BYTES = 1024 * 1024
MAX_TEXT_BYTES = 64 * 1024 * 1024
"""Of a tokenizer, labels, a card."""
MAX_GRAPH_BYTES = 2 * 1024 * 1024 * 1024
"""What one ONNX file can have, and what may lie in the file of the weights that several share."""


def read_verified(path: Path, manifest: Manifest, name: str) -> bytes:
    data = read_plain(path, name)
    found = hashlib.sha256(data).hexdigest()
    if found != manifest.files[name]:
        raise BundleRefused(
            f"{path / name}: was changed or damaged: its SHA-256 is {found}, the manifest says {manifest.files[name]}"
        )
    return data


def read_plain(path: Path, name: str, limit: int = 0) -> bytes:
    """Read a plain file of the folder, through no link and out of no folder but its own."""
    parts = PurePosixPath(name).parts
    if (
        not parts
        or "\\" in name
        or "\0" in name
        or name != "/".join(parts)
        or ".." in parts
        or parts[0] == "/"
    ):
        raise BundleRefused(f"{path / MANIFEST}: {name!r} is not a path inside the bundle")
    try:
        for part in range(1, len(parts) + 1):
            mode = path.joinpath(*parts[:part]).lstat().st_mode
            if stat.S_ISLNK(mode):
                raise BundleRefused(f"{path / name}: is a link; a bundle holds plain files")
        if not stat.S_ISREG(mode):
            raise BundleRefused(f"{path / name}: is not a plain file")
        limit = limit or (MAX_GRAPH_BYTES if name.endswith(".onnx") or name == WEIGHTS else MAX_TEXT_BYTES)
        if path.joinpath(name).stat().st_size > limit:
            raise BundleRefused(f"{path / name}: is larger than {limit} bytes")
        return path.joinpath(name).read_bytes()
    except FileNotFoundError:
        raise BundleRefused(f"{path / name}: is missing") from None
    except OSError as error:
        raise BundleRefused(f"{path / name}: cannot be read: {error.strerror}") from None


def read_text(path: Path, name: str, data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BundleRefused(f"{path / name}: is not UTF-8: {error.reason} at byte {error.start}") from None
