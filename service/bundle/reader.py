"""Reads a bundle from disk; one that does not fit is refused with the file and the reason."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import from_json

from service.bundle.features import FeatureSpec, ReadingsSpec, SoundSpec, parse_features
from service.bundle.files import MANIFEST, MAX_MANIFEST_BYTES, read_plain, read_text, read_verified
from service.bundle.graphs import read_taken, read_whole, whole_hashes
from service.bundle.manifest import FORMAT, Manifest
from service.bundle.rules import DELETION, FEATURES, complaints
from service.bundle.tokenizer import Tokenizer
from service.bundle.tokenizers import tokenizer_from_json
from service.bundle.transitions import Transitions
from service.errors import BundleRefused, InvalidInput


@dataclass(frozen=True)
class Bundle:
    """A model version on disk, verified when it was read."""

    path: Path
    manifest: Manifest
    labels: tuple[str, ...] = ()
    text_labels: tuple[str, ...] = ()
    """Of whole texts, where `labels` are those of words."""
    transitions: Transitions | None = None
    """Which label follows which, where a text's labels are chosen together."""
    size_bytes: int = 0
    """Bytes on disk of all files that the manifest names, and its own."""
    manifest_hash: str = ""
    """SHA-256 of the manifest's bytes; as it names the hash of every other file, it stands for the whole bundle."""
    whole_hashes: Mapping[str, str] = field(default_factory=dict)
    """Graphs that share weights → the SHA-256 of each with its weights in it."""

    @classmethod
    def read(cls, path: Path | str) -> "Bundle":
        """Read and verify the folder; BundleRefused names the file and the reason."""
        path = Path(path)
        text = read_plain(path, MANIFEST, MAX_MANIFEST_BYTES)
        manifest = _manifest(path, text)
        _obey(path, manifest)
        size = len(text) + sum(len(read_verified(path, manifest, name)) for name in manifest.files)
        for name, graph in manifest.graphs.items():
            if graph.taken_from is not None:
                read_taken(path, name, graph.file, graph.taken_from)
        labels, text_labels = _labels(path, manifest), _text_labels(path, manifest)
        transitions = _transitions(path, manifest, len(labels))
        identity = hashlib.sha256(text).hexdigest(), whole_hashes(path, manifest)
        bundle = cls(path, manifest, labels, text_labels, transitions, size, *identity)
        if manifest.features is not None:
            _check_features(bundle)
        return bundle

    @property
    def vocabulary_size(self) -> int:
        """Tokens of its tokenizer; 0 where there is none."""
        return self.tokenizer.size if self.manifest.tokenizer else 0

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer, read on first use; BundleRefused, also where the model has none."""
        name = self.manifest.tokenizer
        if name is None:
            raise BundleRefused(f"{self.path}: a model of task {self.manifest.task} without a tokenizer")
        try:
            tokenizer = tokenizer_from_json(read_text(self.path, name, self.read_file(name)))
        except InvalidInput as error:
            raise BundleRefused(f"{self.path / name}: {error}") from None
        tokenizer.goes_on = self.manifest.task == "generate"
        return tokenizer

    @cached_property
    def features(self) -> FeatureSpec:
        """What its input is, where it is not text; BundleRefused, also where nothing says it."""
        name = self.manifest.features
        if name is None:
            raise BundleRefused(f"{self.path}: a model of task {self.manifest.task} without features")
        try:
            return parse_features(self.read_file(name))
        except InvalidInput as error:
            raise BundleRefused(f"{self.path / name}: {error}") from None

    @property
    def readings(self) -> ReadingsSpec:
        """Of a model that reads numbers."""
        assert isinstance(self.features, ReadingsSpec), "checked when it was read"
        return self.features

    @property
    def sound(self) -> SoundSpec:
        """Of a model that hears."""
        assert isinstance(self.features, SoundSpec), "checked when it was read"
        return self.features

    def read_graph(self, name: str) -> bytes:
        """A graph of this bundle or of another one, with its weights in it, its hash checked again; BundleRefused."""
        spec = self.manifest.graphs[name]
        if spec.taken_from is not None:
            return read_taken(self.path, name, spec.file, spec.taken_from)
        return read_whole(self.path, self.manifest, spec.file)

    def graph_hash(self, name: str) -> str:
        """SHA-256 of a graph with its weights in it: graphs of two bundles with one hash are one."""
        spec = self.manifest.graphs[name]
        if spec.taken_from is not None:
            return spec.taken_from.sha256
        return self.whole_hashes.get(name) or self.manifest.files[spec.file]

    def read_file(self, name: str) -> bytes:
        """Return the bytes of a file that the manifest names, its hash checked again; BundleRefused."""
        return read_verified(self.path, self.manifest, name)


def _manifest(path: Path, text: bytes) -> Manifest:
    """Check the format before anything else: a newer one may look quite different."""
    where = path / MANIFEST
    try:
        tree = from_json(text, allow_inf_nan=False)
    except ValueError as error:
        raise BundleRefused(f"{where}: not JSON: {error}") from None
    found = tree.get("format", FORMAT) if isinstance(tree, dict) else FORMAT
    if isinstance(found, int) and found > FORMAT:
        raise BundleRefused(
            f"{where}: format {found} is newer than {FORMAT}, the newest that this version reads: upgrade seqserve"
        )
    try:
        return Manifest.model_validate(tree)
    except ValidationError as error:
        raise BundleRefused(f"{where}: {'; '.join(_explain(e) for e in error.errors())}") from None


def _explain(error: Any) -> str:
    key = ".".join(map(str, error["loc"])) or "manifest"
    return f"{key}: {error['msg']}"


def _obey(path: Path, manifest: Manifest) -> None:
    graphs = [graph.file for graph in manifest.graphs.values() if graph.taken_from is None]
    texts = [
        manifest.tokenizer,
        manifest.features,
        manifest.labels,
        manifest.text_labels,
        manifest.transitions,
    ]
    for name in [*graphs, *filter(None, texts)]:
        if name not in manifest.files:
            raise BundleRefused(f"{path / MANIFEST}: files: {name} is used but has no hash")
    for complaint in complaints(manifest):
        raise BundleRefused(f"{path / MANIFEST}: {complaint}")


def _check_features(bundle: Bundle) -> None:
    """What the features are must be what the task reads, and as wide as the graph takes them."""
    spec, task = bundle.features, bundle.manifest.task
    where = bundle.path / str(bundle.manifest.features)
    if spec.kind != FEATURES.get(task, spec.kind):
        raise BundleRefused(f"{where}: kind {spec.kind!r}; task {task} reads {FEATURES[task]!r}")
    for name, graph in bundle.manifest.graphs.items():
        for tensor in graph.inputs:
            if tensor.role == "input" and tensor.name == "features" and tensor.axes[-1] != spec.dim:
                raise BundleRefused(
                    f"{where}: {spec.dim} numbers, the graph {name!r} takes {tensor.axes[-1]}"
                )
    if isinstance(spec, ReadingsSpec) and not spec.error_scale and _forecasts(bundle.manifest):
        raise BundleRefused(f"{where}: error_scale is missing, without which a forecast has no anomaly score")


def _forecasts(manifest: Manifest) -> bool:
    outputs = (tensor.name for graph in manifest.graphs.values() for tensor in graph.outputs)
    return manifest.task == "predict" and "forecast" in outputs


def _labels(path: Path, manifest: Manifest) -> tuple[str, ...]:
    """Read the labels that the graphs answer as `log_probs`."""
    labels = _names(path, manifest, manifest.labels, "log_probs")
    if manifest.task == "summarize" and labels not in ((), DELETION):
        raise BundleRefused(
            f"{path / str(manifest.labels)}: wants {', '.join(DELETION)}; has {', '.join(labels)}"
        )
    return labels


def _transitions(path: Path, manifest: Manifest, num_labels: int) -> Transitions | None:
    name = manifest.transitions
    if name is None:
        return None
    try:
        return Transitions.from_json(read_text(path, name, read_verified(path, manifest, name)), num_labels)
    except InvalidInput as error:
        raise BundleRefused(f"{path / name}: {error}") from None


def _text_labels(path: Path, manifest: Manifest) -> tuple[str, ...]:
    return _names(path, manifest, manifest.text_labels, "text_log_probs")


def _names(path: Path, manifest: Manifest, file: str | None, output: str) -> tuple[str, ...]:
    """Read labels, one a line, in the order of the graphs' output of that name."""
    if file is None:
        return ()
    where = path / file
    text = read_text(path, file, read_verified(path, manifest, file))
    labels = tuple(line.removesuffix("\r") for line in text.removesuffix("\n").split("\n"))
    if "" in labels or len(set(labels)) < len(labels):
        raise BundleRefused(f"{where}: wants one label a line, none empty and none twice")
    for name, graph in manifest.graphs.items():
        sizes = [tensor.axes[-1] for tensor in graph.outputs if tensor.name == output]
        if sizes and sizes != [len(labels)]:
            raise BundleRefused(f"{where}: has {len(labels)} labels, graph {name} answers {sizes[0]}")
    return labels
