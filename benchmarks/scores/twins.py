"""The same weights in float32: what eight bits cost is the difference between a bundle and its twin."""

import hashlib
from pathlib import Path
from typing import Any

import onnx

from service.bundle import Bundle
from training.config import CompressionRecipe, TranslationRecipe
from training.export.arithmetic import ARITHMETICS
from training.export.bundle import write_bundle
from training.export.run import Run
from training.export.tasks import export_of

SMALLEST = 1000
"""Bytes of a tensor that counts as weights."""


def write_twins(bundles: list[Bundle], runs: Path, data: Path, models: Path) -> dict[str, str]:
    """Write a float32 bundle into `models` for each of these whose run is in `runs`; for the others: why not."""
    reasons: dict[str, str] = {}
    found: dict[str, Run[Any, Any]] = {}
    for bundle in bundles:
        name = bundle.manifest.name
        if not (runs / name / "averaged.pt").exists():
            reasons[name] = f"no run in {runs / name}"
        elif _is_of(run := Run.read(runs / name), bundle):
            found[name] = run
        else:
            reasons[name] = f"{runs / name} holds other weights"
    for name in sorted(found, key=lambda name: _borrows(found[name].recipe)):
        _write(found[name], data, models)
    return reasons


def _write(run: Run[Any, Any], data: Path, models: Path) -> None:
    """With dev where something of the bundle is chosen on it."""
    export = run.recipe.export.model_copy(update={"precision": "fp32"})
    twin = Run(run.recipe.model_copy(update={"export": export}), run.model, run.vocabulary)
    dev = export_of(twin).dev(data) if isinstance(run.recipe, CompressionRecipe) else None
    write_bundle(twin, models, lambda _: None, dev)


def _borrows(recipe: Any) -> bool:
    """Whether another bundle has to be there first."""
    return (
        isinstance(recipe, TranslationRecipe) and recipe.shared is not None and bool(recipe.shared.encoder_of)
    )


def _is_of(run: Run[Any, Any], bundle: Bundle) -> bool:
    """Whether the bundle's weights are this run's: every matrix of its graphs is in theirs, whatever the graphs are."""
    graphs = export_of(run).graphs(ARITHMETICS[bundle.manifest.precision]())
    ours = {digest for graph, _ in graphs.values() for digest in _weights(graph.model())}
    theirs = [
        digest
        for spec in bundle.manifest.graphs.values()
        if spec.taken_from is None
        for digest in _weights(onnx.load(bundle.path / spec.file))
    ]
    return ours >= set(theirs)


def _weights(model: Any) -> set[str]:
    raws = (tensor.raw_data for tensor in model.graph.initializer)
    return {hashlib.sha256(raw).hexdigest() for raw in raws if len(raw) >= SMALLEST}
