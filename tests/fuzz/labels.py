"""Files of labels: one a line."""

import hashlib
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from service.bundle import Bundle
from service.errors import BundleRefused
from tests.fakes.toy_bundles import LABELS, write_toy_classifier
from tests.fuzz.folders import new_folder, put
from tests.fuzz.target import Target


@cache
def folder() -> Path:
    return write_toy_classifier(new_folder())


def read(data: bytes) -> None:
    put(folder() / "labels.txt", data)
    manifest = json.loads((folder() / "manifest.json").read_text())
    manifest["files"]["labels.txt"] = hashlib.sha256(data).hexdigest()
    put(folder() / "manifest.json", json.dumps(manifest).encode())
    labels = Bundle.read(folder()).labels
    assert len(set(labels)) == len(LABELS)
    assert all(label and "\n" not in label for label in labels)


def seeds() -> Iterator[bytes]:
    yield "\n".join(LABELS).encode() + b"\n"
    yield "año\r\nβ\r\n漢\r\n".encode()


TARGET = Target("labels", read, seeds, refusals=(BundleRefused,), max_bytes=256)
