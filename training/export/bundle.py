"""From the folder of a training run to a bundle on disk: build, check, write, in that order.

The bundle is made beside its place and moved there whole, so that a server that looks meanwhile never sees half of one.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from service.bundle.manifest import Generation, GraphSpec, Limits, Manifest
from service.bundle.tokenizer import Tokenizer
from training.config import (
    ClassificationRecipe,
    Recipe,
    TextRecipe,
    TranslationRecipe,
    load_recipe,
    parse_recipe,
)
from training.export.arithmetic import ARITHMETICS
from training.export.card import write_card
from training.export.check import TOLERANCE, ExportRefused, Runner
from training.export.check_classifier import ClassifierCheck
from training.export.check_seq2seq import Seq2SeqCheck
from training.export.classifier import ClassifierGraphs
from training.export.graph import Graph
from training.export.loss import Dev, measure
from training.export.seq2seq import Seq2SeqGraphs
from training.models.classifier import Classifier
from training.models.seq2seq import Seq2Seq

TWO_WAY = (
    "its encoder reads the text in both directions, so the last word bears on the first one's state; "
    "send whole texts, or train a model with a one-way encoder (encoder.bidirectional = false)"
)

Graphs = Mapping[str, tuple[Graph, GraphSpec]]
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Run:
    """A finished training run."""

    recipe: Recipe
    model: Seq2Seq | Classifier
    tokenizer: Tokenizer
    labels: tuple[str, ...]

    @classmethod
    def read(cls, folder: Path, recipe_file: Path | None = None) -> "Run":
        """Take `[export]` from `recipe_file`, or from the run's own copy; ExportRefused where no run was finished."""
        averaged = folder / "averaged.pt"
        if not averaged.exists():
            raise ExportRefused(
                f"{folder}: no averaged.pt, so no finished run; `seqserve train` writes it at its end"
            )
        saved = torch.load(averaged, map_location="cpu", weights_only=True)
        trained = parse_recipe(saved["config"], str(averaged))
        wanted = load_recipe(recipe_file or folder / "recipe.toml").export
        recipe = trained.model_copy(update={"export": wanted})
        tokenizer = Tokenizer.from_file(folder / "tokenizer.json")
        labels = folder / "labels.txt"
        names = tuple(labels.read_text("utf-8").splitlines()) if labels.exists() else ()
        model = build_model(recipe, tokenizer.size, len(names))
        model.load_state_dict(saved["model"])
        return cls(recipe, model.eval(), tokenizer, names)

    @property
    def num_parameters(self) -> int:
        """Weights of the model, tied ones counted once."""
        return sum(weight.numel() for weight in self.model.parameters())


def export(
    folder: Path, models: Path, recipe: Path | None = None, data: Path | None = None, tell: Tell = print
) -> Path:
    """Write the bundle of the run in `folder`; see `Run.read` and `write_bundle`."""
    run = Run.read(folder, recipe)
    return write_bundle(run, models, tell, Dev.read(run.recipe, data) if data else None)


def write_bundle(run: Run, models: Path, tell: Tell = print, dev: Dev | None = None) -> Path:
    """Write `models/<name>/<version>` and return that path.

    Raises ExportRefused when the graphs do not do what the model does, when eight bits lose more on `dev` than the
    recipe allows, or when the place is taken; then nothing has been written.
    """
    wanted = run.recipe.export
    place = models / run.recipe.name / wanted.version
    if place.exists():
        raise ExportRefused(f"{place} is there already; give the recipe another export.version, or remove it")
    graphs, streams = _checked_graphs(run, wanted.precision, tell, dev)
    _write(run, graphs, streams, place)
    size = sum(file.stat().st_size for file in place.iterdir())
    tell(f"{place}: {run.num_parameters / 1e6:.1f} M parameters, {size / 1e6:.1f} MB")
    return place


def build_model(recipe: Recipe, vocab_size: int, num_labels: int) -> Seq2Seq | Classifier:
    if isinstance(recipe, TranslationRecipe):
        return Seq2Seq(recipe.model, vocab_size)
    assert isinstance(recipe, ClassificationRecipe)
    return Classifier(recipe.model, vocab_size, num_labels)


def _checked_graphs(run: Run, precision: str, tell: Tell, dev: Dev | None) -> tuple[Graphs, bool]:
    """The graphs in the wanted precision; those in float32 are checked against PyTorch first, whatever is wanted."""
    plain, streams = _graphs(run, "fp32")
    fp32 = _runners(plain)
    difference = _check(run, fp32, TOLERANCE)
    tell(f"fp32 graphs equal PyTorch (mean difference {difference:.1e}); rows are exact in any batch")
    if precision == "fp32":
        return plain, streams
    graphs, streams = _graphs(run, precision)
    runners = _runners(graphs)
    difference = _check(run, runners, None)
    tell(f"{precision} graphs: mean difference from PyTorch {difference:.1e}; rows are exact in any batch")
    if dev is None:
        tell("what that loses on dev was not measured: no --data was given")
    else:
        loss = measure(run.recipe, run.tokenizer, run.labels, dev, fp32, runners)
        tell(str(loss))
        loss.require_at_most(run.recipe.export.max_loss)
    return graphs, streams


def _graphs(run: Run, precision: str) -> tuple[Graphs, bool]:
    numbers = ARITHMETICS[precision]()
    if isinstance(run.recipe, TranslationRecipe):
        assert isinstance(run.model, Seq2Seq)
        seq2seq = Seq2SeqGraphs(run.model, run.recipe.model, numbers)
        return seq2seq.graphs(), seq2seq.streams
    assert isinstance(run.model, Classifier)
    assert isinstance(run.recipe, ClassificationRecipe)
    classifier = ClassifierGraphs(run.model, run.recipe.model, numbers)
    return classifier.graphs(), classifier.streams


def _runners(graphs: Graphs) -> dict[str, Runner]:
    return {name: Runner(graph, spec) for name, (graph, spec) in graphs.items()}


def _check(run: Run, runners: Mapping[str, Runner], tolerance: float | None) -> float:
    if isinstance(run.model, Seq2Seq):
        return Seq2SeqCheck(run.model, runners, tolerance).run()
    return ClassifierCheck(run.model, runners, tolerance).run()


def _write(run: Run, graphs: Graphs, streams: bool, place: Path) -> None:
    partial = place.with_name(f".{place.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        _fill(run, graphs, streams, partial)
        partial.rename(place)
    except OSError as error:
        raise ExportRefused(
            f"{place} could not be written: {error.strerror}; nothing was left there"
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _fill(run: Run, graphs: Graphs, streams: bool, folder: Path) -> None:
    for graph, spec in graphs.values():
        (folder / spec.file).write_bytes(graph.model().SerializeToString())
    (folder / "tokenizer.json").write_text(run.tokenizer.to_json(), "utf-8")
    if run.labels:
        (folder / "labels.txt").write_text("".join(f"{label}\n" for label in run.labels), "utf-8")
    files = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}
    manifest = _manifest(run, {name: spec for name, (_, spec) in graphs.items()}, streams, files)
    text = json.dumps(manifest.model_dump(exclude_defaults=True) | {"format": manifest.format}, indent=1)
    (folder / "manifest.json").write_text(text + "\n", "utf-8")
    write_card(folder / "README.md", run.recipe, manifest)


def _manifest(run: Run, graphs: dict[str, GraphSpec], streams: bool, files: dict[str, str]) -> Manifest:
    recipe, wanted = run.recipe, run.recipe.export
    longest = {"max_input_tokens": wanted.max_input_tokens, "max_output_tokens": wanted.max_length}
    return Manifest(
        name=recipe.name,
        version=wanted.version,
        task="translate" if isinstance(recipe, TranslationRecipe) else "classify",
        description=wanted.description,
        source_language=recipe.source if isinstance(recipe, TextRecipe) else "",
        target_language=recipe.target if isinstance(recipe, TranslationRecipe) else "",
        precision=wanted.precision,
        num_parameters=run.num_parameters,
        streams=streams,
        why_not_streaming="" if streams else TWO_WAY,
        graphs=graphs,
        labels="labels.txt" if run.labels else None,
        generation=Generation(
            beam_size=wanted.beam_size, length_penalty=wanted.length_penalty, max_length=wanted.max_length
        ),
        limits=Limits(**longest),
        files=files,
    )
