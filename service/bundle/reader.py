"""Reads a bundle from disk; one that does not fit is refused with the file and the reason."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from service.bundle.manifest import Manifest
from service.bundle.tokenizer import Tokenizer


@dataclass(frozen=True)
class Bundle:
    """A model version on disk, verified when it was read."""

    path: Path
    manifest: Manifest
    labels: tuple[str, ...] = ()
    size_bytes: int = 0
    """Bytes on disk of all files that the manifest names, and its own."""

    @classmethod
    def read(cls, path: Path | str) -> "Bundle":
        """Read and verify the folder; BundleRefused names the file and the reason."""
        raise NotImplementedError

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer, read on first use."""
        raise NotImplementedError

    def read_file(self, name: str) -> bytes:
        """Return the bytes of a file that the manifest names, its hash checked; BundleRefused."""
        raise NotImplementedError
