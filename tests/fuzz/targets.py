"""All targets by name."""

from collections.abc import Callable, Mapping
from importlib import import_module

from tests.fuzz.target import Target


def _of(module: str, name: str = "TARGET") -> Callable[[], Target]:
    def load() -> Target:
        target: Target = getattr(import_module(f"tests.fuzz.{module}"), name)
        return target

    return load


TARGETS: Mapping[str, Callable[[], Target]] = {
    "snapshots": _of("snapshots"),
    "tickets": _of("tickets"),
    "manifests": _of("manifests"),
    "features": _of("features"),
    "labels": _of("labels"),
    "tokenizers": _of("tokenizers"),
    "onnx_files": _of("onnx_files"),
    "weights": _of("weights"),
    "settings": _of("settings"),
    "snapshot_keys": _of("key_files", "SNAPSHOT_KEYS"),
    "access_keys": _of("key_files", "ACCESS_KEYS"),
    "key_sets": _of("key_files", "KEY_SETS"),
    "web_tokens": _of("web_tokens"),
    "recordings": _of("recordings"),
    "texts": _of("texts"),
    "tensors": _of("tensors"),
    "calls": _of("calls"),
}
"""Imported when they are wanted, so that what they use can be watched from its first line on."""
