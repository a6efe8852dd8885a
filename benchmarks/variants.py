"""The same model in other arithmetic: float32, row-wise int8, ONNX Runtime's own `quantize_dynamic`.

The weights come from the folder of a training run, or are random: what a product takes does not depend on them.
"""

import hashlib
import json
import logging
import shutil
import tempfile
from pathlib import Path
from typing import Any, Literal

import onnxruntime
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic

from service.bundle import Bundle
from service.bundle.weights import WEIGHTS
from training.config import load_recipe
from training.data.vocabulary import Vocabulary
from training.export.arithmetic import ARITHMETICS
from training.export.run import Run
from training.export.tasks import export_of
from training.models.build import build

RECIPES = Path(__file__).parent.parent / "training" / "recipes"

Precision = Literal["fp32", "int8", "stock int8"]


def run_of(bundle: Path, run: Path | None = None) -> Run[Any, Any]:
    """The trained model, or one of the shape that the recipe of the bundle's name says."""
    if run:
        return Run.read(run)
    manifest = Bundle.read(bundle).manifest
    recipe, vocabulary = load_recipe(RECIPES / f"{manifest.name}.toml"), Vocabulary.read(bundle)
    torch.manual_seed(0)
    return Run(recipe, build(recipe, vocabulary).eval(), vocabulary)


def write_variant(bundle: Path, models: Path, precision: Precision, run: Path | None = None) -> Path:
    """Write the bundle anew below `models` with graphs of that arithmetic; returns its folder."""
    place = models / bundle.parent.name / bundle.name
    shutil.copytree(bundle, place)
    numbers = ARITHMETICS["int8" if precision == "int8" else "fp32"]()
    graphs = export_of(run_of(bundle, run)).graphs(numbers)
    for graph, spec in graphs.values():
        data = graph.model().SerializeToString()
        (place / spec.file).write_bytes(_quantized(data) if precision == "stock int8" else data)
    manifest = json.loads((place / "manifest.json").read_text("utf-8"))
    if manifest["files"].pop(WEIGHTS, None):
        (place / WEIGHTS).unlink()  # each graph has its own now
    manifest["graphs"] = {name: spec.model_dump() for name, (_, spec) in graphs.items()}
    manifest["files"] = {
        name: hashlib.sha256((place / name).read_bytes()).hexdigest() for name in manifest["files"]
    }
    (place / "manifest.json").write_text(json.dumps(manifest), "utf-8")
    return place


def _quantized(graph: bytes) -> bytes:
    """As most people do it: constants folded, then one call; one scale for a whole batch.

    Without the folding it would find no weights: they are transposed on their way into the products.
    """
    with tempfile.TemporaryDirectory() as folder:
        before, after = Path(folder) / "before.onnx", Path(folder) / "after.onnx"
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = str(before)
        options.log_severity_level = 3
        onnxruntime.InferenceSession(graph, options)
        logging.disable(logging.WARNING)  # it would have the graph prepared by another program
        quantize_dynamic(before, after, weight_type=QuantType.QInt8, extra_options={"EnableSubgraph": True})
        logging.disable(logging.NOTSET)
        return after.read_bytes()
