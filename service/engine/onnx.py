"""Runs a bundle's graphs with ONNX Runtime; nothing else imports it."""

from collections.abc import Sequence

from service.bundle import Bundle
from service.bundle.manifest import Manifest
from service.config import EngineSettings
from service.step import Result, Step


class OnnxEngine:
    """One ONNX Runtime session for each graph of a bundle. See `service.engine.Engine`."""

    def __init__(self, bundle: Bundle, settings: EngineSettings) -> None:
        """Load every graph; BundleRefused where a file is not what the manifest says."""
        raise NotImplementedError

    @property
    def manifest(self) -> Manifest:
        raise NotImplementedError

    def run(self, graph: str, steps: Sequence[Step]) -> list[Result]:
        raise NotImplementedError

    def warm_up(self) -> None:
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError
