"""A bundle that answers in this process, without a server."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from service.bundle import Bundle
from service.cli.stop import USAGE, Stop
from service.config import EngineSettings, SchedulerSettings
from service.engine.onnx import OnnxEngine
from service.errors import BundleRefused
from service.metrics import Metrics
from service.registry import Served, bundles_in, natural_order
from service.scheduler import Scheduler


def bundle_of(model: str, repository: Path) -> Bundle:
    """By its folder, or by its name, or `name/version`, in a repository; Stop says what there is."""
    folder = Path(model) if (Path(model) / "manifest.json").is_file() else _named(model, repository)
    try:
        return Bundle.read(folder)
    except BundleRefused as refused:
        raise Stop(str(refused)) from None


@contextmanager
def served(bundle: Bundle) -> Iterator[Served]:
    """It answers while inside."""
    name = f"{bundle.manifest.name}/{bundle.manifest.version}"
    try:
        engine = OnnxEngine(bundle, EngineSettings())
    except BundleRefused as refused:
        raise Stop(str(refused)) from None
    one = Served(bundle, engine, Scheduler(engine, SchedulerSettings(), Metrics(), name))
    try:
        yield one
    finally:
        one.close()


def _named(model: str, repository: Path) -> Path:
    name, _, version = model.partition("/")
    found = {v: path for n, v, path in bundles_in(repository) if n == name and version in ("", v)}
    if not found:
        there = ", ".join(f"{n}/{v}" for n, v, _ in bundles_in(repository)) or "none"
        raise Stop(
            f"{model} is neither a bundle's folder nor a model in the folder {repository}; there are: {there}",
            USAGE,
        )
    return found[max(found, key=natural_order)]
