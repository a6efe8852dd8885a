"""From the folder of a training run to a bundle on disk: build, check, write, in that order.

The bundle is made beside its place and moved there whole, so that a server that looks meanwhile never sees half of one.
"""

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from service.bundle.graphs import graph_in
from service.bundle.manifest import Generation, GraphSpec, Lender, Limits, Manifest
from training.export.arithmetic import ARITHMETICS
from training.export.card import write_card
from training.export.check import TOLERANCE, ExportRefused, Runner
from training.export.dev import Dev
from training.export.loss import answers_on, measure
from training.export.mistakes import mistakes_on
from training.export.run import Run
from training.export.sharing import shared_files
from training.export.tasks import AnyExport, export_of
from training.export.tasks.base import Facts, Graphs

AnyRun = Run[Any, Any]
TRANSITIONS = "transitions.json"
Tell = Callable[[str], None]


def export(
    folder: Path, models: Path, recipe: Path | None = None, data: Path | None = None, tell: Tell = print
) -> Path:
    """Write the bundle of the run in `folder`; see `Run.read` and `write_bundle`."""
    run = Run.read(folder, recipe)
    return write_bundle(run, models, tell, export_of(run).dev(data) if data else None)


def write_bundle(run: AnyRun, models: Path, tell: Tell = print, dev: Dev | None = None) -> Path:
    """Write `models/<name>/<version>` and return that path.

    Raises ExportRefused when the graphs do not do what the model does, when eight bits lose more on `dev` than the
    recipe allows, or when the place is taken; then nothing has been written.
    """
    wanted = run.recipe.export
    place: Path = models / run.recipe.name / wanted.version
    if place.exists():
        raise ExportRefused(f"{place} is there already; give the recipe another export.version, or remove it")
    task = export_of(run)
    graphs, on_dev = _checked_graphs(task, wanted.precision, tell, dev)
    facts = replace(task.facts(graphs), on_dev=on_dev)
    _write(run, _with_taken(graphs, facts, models), facts, place)
    size = sum(file.stat().st_size for file in place.iterdir())
    tell(f"{place}: {run.num_parameters:,} parameters, {size / 1e6:.2f} MB")
    return place


def _checked_graphs(task: AnyExport, precision: str, tell: Tell, dev: Dev | None) -> tuple[Graphs, str]:
    """The graphs in the wanted precision, and what the card says of dev; those in float32 are checked against PyTorch
    first, whatever is wanted.
    """
    plain = task.graphs(ARITHMETICS["fp32"]())
    fp32 = _runners(plain)
    difference = task.check(fp32, TOLERANCE)
    tell(f"fp32 graphs equal PyTorch (mean difference {difference:.1e}); rows are exact in any batch")
    if precision == "fp32":
        if dev is not None:
            task.settle(answers_on(dev, "fp32", task, fp32), dev.references)
        return plain, ""
    graphs = task.graphs(ARITHMETICS[precision]())
    runners = _runners(graphs)
    difference = task.check(runners, None)
    tell(f"{precision} graphs: mean difference from PyTorch {difference:.1e}; rows are exact in any batch")
    if dev is None:
        tell("what that loses on dev was not measured: no --data was given")
        return graphs, ""
    loss = measure(task, dev, fp32, runners)
    tell(str(loss))
    loss.require_at_most(task.run.recipe.export.max_loss)
    return graphs, f"{loss}.\n\n{mistakes_on(dev, loss.answers)}".rstrip()


def _with_taken(graphs: Graphs, facts: Facts, models: Path) -> Graphs:
    """The graphs, those that are another bundle's said to be from there; ExportRefused where they are not equal."""
    named = dict(graphs)
    for name, (model, version) in facts.taken.items():
        graph, spec = graphs[name]
        lent, digest = models / model / version / spec.file, hashlib.sha256(graph.serialized()).hexdigest()
        if not lent.exists():
            raise ExportRefused(f"{lent} is not there: export {model} first, into the same folder of models")
        if graph_in(lent.parent, spec.file, digest)[1] != digest:
            raise ExportRefused(
                f"{lent} is not the encoder that this model was trained with (or was exported in another precision): "
                f"export {model} again under another version, and name that in shared.version"
            )
        lender = Lender(model=model, version=version, sha256=digest)
        named[name] = graph, spec.model_copy(update={"taken_from": lender})
    return named


def _runners(graphs: Graphs) -> dict[str, Runner]:
    return {name: Runner(graph, spec) for name, (graph, spec) in graphs.items()}


def _write(run: AnyRun, graphs: Graphs, facts: Facts, place: Path) -> None:
    partial = place.with_name(f".{place.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        _fill(run, graphs, facts, partial)
        partial.rename(place)
    except OSError as error:
        raise ExportRefused(
            f"{place} could not be written: {error.strerror}; nothing was left there"
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _fill(run: AnyRun, graphs: Graphs, facts: Facts, folder: Path) -> None:
    own = {spec.file: graph.serialized() for graph, spec in graphs.values() if spec.taken_from is None}
    for name, data in shared_files(own).items():
        (folder / name).write_bytes(data)
    texts = run.vocabulary.files()
    if facts.transitions:
        texts[TRANSITIONS] = facts.transitions.to_json()
    for name, content in texts.items():
        (folder / name).write_text(content, "utf-8")
    files = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}
    manifest = _manifest(run, {name: spec for name, (_, spec) in graphs.items()}, facts, files)
    text = json.dumps(manifest.model_dump(exclude_defaults=True) | {"format": manifest.format}, indent=1)
    (folder / "manifest.json").write_text(text + "\n", "utf-8")
    write_card(folder / "README.md", run.recipe, manifest, facts)


def _manifest(run: AnyRun, graphs: dict[str, GraphSpec], facts: Facts, files: dict[str, str]) -> Manifest:
    recipe, wanted = run.recipe, run.recipe.export
    longest = {"max_input_tokens": wanted.max_input_tokens, "max_output_tokens": wanted.max_length}
    return Manifest(
        name=recipe.name,
        version=wanted.version,
        task=facts.task,
        description=wanted.description,
        source_language=facts.source_language,
        target_language=facts.target_language,
        precision=wanted.precision,
        num_parameters=run.num_parameters,
        streams=not facts.why_not_streaming,
        why_not_streaming=facts.why_not_streaming,
        simultaneous=facts.simultaneous,
        graphs=graphs,
        tokenizer="tokenizer.json" if run.vocabulary.subwords else None,
        features="features.json" if run.vocabulary.features else None,
        labels="labels.txt" if run.vocabulary.labels else None,
        text_labels="text_labels.txt" if run.vocabulary.text_labels else None,
        transitions=TRANSITIONS if facts.transitions else None,
        keep_above=facts.keep_above,
        words=facts.words,
        generation=Generation(
            beam_size=wanted.beam_size,
            length_penalty=wanted.length_penalty,
            max_length=wanted.max_length,
            sampling_topk=wanted.sampling_topk,
            sampling_topp=wanted.sampling_topp,
            temperature=wanted.temperature,
            repetition_penalty=wanted.repetition_penalty,
        ),
        writes_unknowns=wanted.unknowns,
        measure=facts.measure,
        limits=Limits(**longest),
        files=files,
    )
