"""Every bundle of the repository: read, loaded and tried as a server does."""

import time
from collections.abc import Iterator

from service.bundle import Bundle
from service.bundle.features import FeatureSpec, ReadingsSpec
from service.bundle.manifest import Manifest
from service.cli import output
from service.cli.checks.finding import Finding, problem
from service.cli.checks.selftest import tried
from service.config import Settings
from service.engine.onnx import OnnxEngine
from service.errors import BundleRefused
from service.metrics import Metrics
from service.registry import Registry, Served, bundles_in
from service.scheduler import Scheduler


def models(settings: Settings) -> Iterator[Finding]:
    repository = settings.models.repository
    metrics = Metrics()

    def serve(bundle: Bundle) -> Served:
        engine = OnnxEngine(bundle, settings.engine)
        engine.warm_up()
        name = f"{bundle.manifest.name}/{bundle.manifest.version}"
        return Served(bundle, engine, Scheduler(engine, settings.scheduler, metrics, name))

    found = [(name, version) for name, version, _ in bundles_in(repository)]
    if not found:
        yield problem(
            "repository",
            f"{repository.absolute()} holds no <name>/<version>/manifest.json",
            "choose the folder with --models, or put a bundle there: seqserve export RUN --models DIR",
        )
    registry = Registry(serve)
    try:
        for name, version in found:
            yield from _model(registry, settings, name, version)
    finally:
        registry.close()


def _model(registry: Registry, settings: Settings, name: str, version: str) -> Iterator[Finding]:
    about, repository = f"{name}/{version}", settings.models.repository
    started = time.perf_counter()
    try:
        served = registry.load(repository, name, version)
    except Exception as error:  # whatever is wrong with one model, the others are tried
        text = str(error) if isinstance(error, BundleRefused) else f"could not be loaded: {error!r}"
        yield problem(
            about,
            text,
            f"copy or export it again, or remove {repository / name / version} to serve without it",
        )
        return
    yield _facts(about, served, time.perf_counter() - started)
    yield tried(about, served)


def _facts(about: str, served: Served, seconds: float) -> Finding:
    manifest, bundle = served.manifest, served.bundle
    size = output.size(bundle.size_bytes)
    text = (
        f"{manifest.task}, {size} {manifest.precision}, format {manifest.format}: "
        f"{len(manifest.files)} files as hashed, {_reads(bundle)}, "
        f"{len(manifest.graphs)} graphs loaded in {seconds:.2f} s{_more(manifest)}"
    )
    facts = {
        "task": manifest.task,
        "size_bytes": bundle.size_bytes,
        "format": manifest.format,
        "precision": manifest.precision,
        "manifest_sha256": bundle.manifest_hash,
        "vocabulary_size": bundle.vocabulary_size if manifest.tokenizer else None,
        "features_dim": _numbers(bundle.features) if manifest.features else None,
        "graphs": list(manifest.graphs),
        "load_s": round(seconds, 3),
    }
    return Finding(about, text, facts=facts)


def _reads(bundle: Bundle) -> str:
    """What it reads by, and writes by: a tokenizer, numbers, or both."""
    tokenizer = [f"tokenizer of {bundle.vocabulary_size:,}"] if bundle.manifest.tokenizer else []
    numbers = [f"{_numbers(bundle.features)} numbers a step"] if bundle.manifest.features else []
    return ", ".join(numbers + tokenizer)


def _numbers(features: FeatureSpec) -> int:
    """In a reading as a caller gives it, whatever the graph is fed of it; of sound, in a frame."""
    return features.reading_dim if isinstance(features, ReadingsSpec) else features.dim


def _more(manifest: Manifest) -> str:
    """What not every model can, and which of its graphs lie in another bundle."""
    taken = [
        f"{name} is that of {graph.taken_from.model}/{graph.taken_from.version}"
        for name, graph in manifest.graphs.items()
        if graph.taken_from
    ]
    live = ["writes while its source comes in (translate --live)"] if manifest.simultaneous else []
    return "".join(f"; {each}" for each in [*taken, *live])
