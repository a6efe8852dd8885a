"""From a file to a bundle: pair the states, find the axes, write, check as it will be served, put into place."""

import hashlib
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from service.bundle import Bundle
from service.bundle.manifest import GraphSpec, Limits, Manifest, TensorSpec
from service.config import EngineSettings
from service.engine.onnx import OnnxEngine
from service.engine.probe import Found, Probe
from service.errors import BundleRefused
from service.importing.check import COMPANIES, Checked, check_company, check_whole
from service.importing.external import whole_file
from service.importing.layout import Axes, Layout, feeds_for, find_layout
from service.importing.pairs import find_pairs
from service.importing.wishes import Wishes
from service.step import Arrays, Step

GRAPH = "step"
FILE = "model.onnx"
MAX_INPUTS = 4096
"""Of one request."""
OUTLIER = 1000.0
"""One of the rows is so many times larger than the others."""


@dataclass(frozen=True, slots=True)
class Imported:
    """A bundle that lies in its place."""

    path: Path
    manifest: Manifest
    states: Mapping[str, str]
    """Input of the file → the output that carries it on."""
    layout: Layout
    checked: Checked

    @property
    def graph(self) -> GraphSpec:
        return self.manifest.graphs[GRAPH]


def import_model(
    path: Path, models: Path, name: str, version: str = "1", wishes: Wishes | None = None
) -> Imported:
    """Write `models/<name>/<version>`; BundleRefused says why not, and then nothing was written."""
    wishes, place = wishes or Wishes(), models / name / version
    if place.exists():
        raise BundleRefused(f"{place} is there already; choose another name or version, or remove it")
    probe = Probe(path)
    states = find_pairs(probe.inputs, probe.outputs, wishes.states, path)
    if len(states) == len(probe.inputs):
        raise BundleRefused(
            f"{path}: every input is a state, so nothing goes in; name the pairs with --state"
        )
    layout = find_layout(probe, states, wishes)
    models.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=models, prefix=".import-") as scratch:
        folder = Path(scratch) / "bundle"
        folder.mkdir()
        (folder / FILE).write_bytes(whole_file(path))
        spec = _graph(probe, states, layout)
        checked = _checked(_write(folder, name, version, spec), probe, layout, states)
        spec = spec.model_copy(update={"max_rows": _max_rows(layout, checked, wishes)})
        card = _card(name, path, spec, states, checked)
        (folder / "README.md").write_text(card, encoding="utf-8")
        manifest = _write(folder, name, version, spec).manifest
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(folder, place)
    return Imported(place, manifest, states, layout, checked)


def _graph(probe: Probe, states: Mapping[str, str], layout: Layout) -> GraphSpec:
    """The graph as a manifest says it; rows of a batch of one until they are known to be exact in company."""
    after = {output: name for name, output in states.items()}
    sizes = _sizes(probe, layout)
    inputs = [
        _tensor(t, t.name, "state" if t.name in states else "input", layout.inputs[t.name], t.shape)
        for t in probe.inputs
    ]
    outputs = [
        _tensor(
            t,
            after.get(t.name, t.name),
            "state" if t.name in after else "output",
            layout.outputs[t.name],
            sizes[t.name],
        )
        for t in probe.outputs
    ]
    for spec in inputs:
        if any(axis is None for axis in spec.axes):
            raise BundleRefused(
                f"{probe.path}: {spec.name} has more open sizes than a batch and a time; fix them when exporting"
            )
    chunk = 1 if layout.has_time else None
    return GraphSpec(file=FILE, inputs=tuple(inputs), outputs=tuple(outputs), chunk=chunk, max_rows=1)


def _tensor(found: Found, name: str, role: str, at: Axes, shape: Sequence[int | str | None]) -> TensorSpec:
    axes = ["time" if i == at.time else size for i, size in enumerate(shape) if i != at.batch]
    if any(not isinstance(axis, int) and axis != "time" for axis in axes):
        raise BundleRefused(
            f"{found.name} has more open sizes than a batch and a time: {list(shape)}; fix them when exporting"
        )
    return TensorSpec.model_validate(
        {
            "name": name,
            "tensor": found.name,
            "dtype": found.dtype,
            "axes": ("batch", *axes),
            "role": role,
            "batch_axis": at.batch,
        }
    )


def _sizes(probe: Probe, layout: Layout) -> dict[str, tuple[int, ...]]:
    """What the outputs' sizes are: files do not always say."""
    answered = probe.run(feeds_for(probe.inputs, layout.inputs, 1, 1, 0))
    assert answered is not None  # it ran when the layout was found
    return {name: array.shape for name, array in answered.items()}


def _write(folder: Path, name: str, version: str, spec: GraphSpec) -> Bundle:
    hashes = {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(folder.iterdir())
        if file.name != "manifest.json"
    }
    try:
        manifest = Manifest(
            name=name,
            version=version,
            task="tensors",
            streams=True,
            tokenizer=None,
            graphs={GRAPH: spec},
            limits=Limits(max_input_tokens=MAX_INPUTS),
            files=hashes,
        )
    except ValueError as error:
        raise BundleRefused(f"{name}/{version} cannot be a bundle: {error}") from None
    text = manifest.model_dump_json(indent=1, exclude_defaults=True, exclude={"format", "tokenizer"})
    head = f'{{\n "format": {manifest.format},\n "tokenizer": null,\n'
    (folder / "manifest.json").write_text(head + text.removeprefix("{\n") + "\n", encoding="utf-8")
    return Bundle.read(folder)


def _checked(bundle: Bundle, probe: Probe, layout: Layout, states: Mapping[str, str]) -> Checked:
    engine = OnnxEngine(bundle, EngineSettings())
    try:
        steps = _steps(bundle.manifest.graphs[GRAPH], probe, layout, states)
        company = 0.0 if layout.is_single else check_company(engine, GRAPH, steps)
        return Checked(company, check_whole(engine, GRAPH, probe, layout, dict(states)))
    finally:
        engine.close()


def _steps(spec: GraphSpec, probe: Probe, layout: Layout, states: Mapping[str, str]) -> list[Step]:
    """Rows somewhere in the middle of their sequences, one of them far from the others."""
    num = max(COMPANIES)
    feeds = feeds_for(probe.inputs, layout.inputs, 1 if layout.is_single else num, 1, 11)
    steps = []
    for row in range(1 if layout.is_single else num):
        arrays: Arrays = {
            name: np.take(array, row, layout.inputs[name].batch)
            * (OUTLIER if row == 1 and array.dtype.kind == "f" else 1)
            for name, array in feeds.items()
        }
        arrays = {name: array.astype(feeds[name].dtype) for name, array in arrays.items()}
        inputs = {name: array for name, array in arrays.items() if name not in states}
        steps.append(Step(GRAPH, inputs, {name: arrays[name] for name in states}))
    return steps


def _max_rows(layout: Layout, checked: Checked, wishes: Wishes) -> int | None:
    return 1 if layout.is_single or checked.company > (wishes.tolerance or 0.0) else None


def _card(name: str, path: Path, spec: GraphSpec, states: Mapping[str, str], checked: Checked) -> str:
    def table(tensors: Sequence[TensorSpec], role: str) -> str:
        return "\n".join(f"- `{t.name}` {t.dtype} {list(t.axes)}" for t in tensors if t.role == role)

    rows = "one row at a time" if spec.max_rows == 1 else "in batches"
    company = (
        "rows answer the same bits in any company"
        if not checked.company
        else f"a row in company differs from itself alone by up to {checked.company:.1e} of the largest number"
    )
    whole = (
        "it has no axis of time"
        if checked.whole is None
        else "stepping gives the same bits as running whole"
        if not checked.whole
        else f"stepping differs from running whole by up to {checked.whole:.1e} of the largest number"
    )
    carried = "\n".join(f"- `{before}` is carried on by `{after}`" for before, after in states.items())
    return (
        f"# {name}\n\nImported from `{path.name}` by `seqserve import`; the graph is as it was.\n\n"
        f"## Inputs\n\n{table(spec.inputs, 'input')}\n\n## Outputs\n\n{table(spec.outputs, 'output')}\n\n"
        f"## State\n\n{carried}\n\n## Checked\n\n- {company}; it is served {rows}\n- {whole}\n"
    )
