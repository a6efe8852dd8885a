"""Reads a bundle from disk; one that does not fit is refused with the file and the reason."""

import hashlib
import json
import stat
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from pydantic import ValidationError

from service.bundle.features import FeatureSpec, ReadingsSpec, SoundSpec, parse_features
from service.bundle.manifest import FORMAT, Lender, Manifest
from service.bundle.rules import DELETION, FEATURES, complaints
from service.bundle.tokenizer import Tokenizer
from service.bundle.tokenizers import tokenizer_from_json
from service.bundle.transitions import Transitions
from service.errors import BundleRefused, InvalidInput

MANIFEST = "manifest.json"
MAX_MANIFEST_BYTES = 1024 * 1024
MAX_TEXT_BYTES = 64 * 1024 * 1024
"""Of a tokenizer, labels, a card."""
MAX_GRAPH_BYTES = 2 * 1024 * 1024 * 1024
"""What one ONNX file can have."""


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

    @classmethod
    def read(cls, path: Path | str) -> "Bundle":
        """Read and verify the folder; BundleRefused names the file and the reason."""
        path = Path(path)
        text = _bytes(path, MANIFEST, MAX_MANIFEST_BYTES)
        manifest = _manifest(path, text)
        _obey(path, manifest)
        size = len(text) + sum(len(_verified(path, manifest, name)) for name in manifest.files)
        for name, graph in manifest.graphs.items():
            if graph.taken_from is not None:
                read_taken(path, name, graph.file, graph.taken_from)
        labels, text_labels = _labels(path, manifest), _text_labels(path, manifest)
        transitions = _transitions(path, manifest, len(labels))
        bundle = cls(path, manifest, labels, text_labels, transitions, size, hashlib.sha256(text).hexdigest())
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
            tokenizer = tokenizer_from_json(_text(self.path, name, self.read_file(name)))
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
        """The bytes of a graph's file, of this bundle or of another one, its hash checked again; BundleRefused."""
        spec = self.manifest.graphs[name]
        if spec.taken_from is None:
            return self.read_file(spec.file)
        return read_taken(self.path, name, spec.file, spec.taken_from)

    def graph_hash(self, name: str) -> str:
        """SHA-256 of a graph's file: graphs of two bundles with one hash are one."""
        spec = self.manifest.graphs[name]
        return spec.taken_from.sha256 if spec.taken_from else self.manifest.files[spec.file]

    def read_file(self, name: str) -> bytes:
        """Return the bytes of a file that the manifest names, its hash checked again; BundleRefused."""
        return _verified(self.path, self.manifest, name)


def read_taken(path: Path, graph: str, file: str, lender: Lender) -> bytes:
    """The bytes of a graph that the bundle at `path` takes from another one of its repository; BundleRefused.

    What is taken is named by its hash, so the other bundle may be changed or damaged elsewhere; no link is followed.
    """
    repository, name = path.absolute().parents[1], f"{lender.model}/{lender.version}"
    where = f"{path / MANIFEST}: graphs.{graph}: is taken from {name}"
    for folder in (repository / lender.model, repository / lender.model / lender.version):
        if folder.is_symlink():
            raise BundleRefused(f"{where}, but {folder} is a link; bundles are plain folders")
        if not folder.is_dir():
            raise BundleRefused(f"{where}, which is not in the repository {repository}: put it there, too")
    try:
        data = _bytes(folder, file, MAX_GRAPH_BYTES)
    except BundleRefused as error:
        raise BundleRefused(f"{where}: {error}") from None
    found = hashlib.sha256(data).hexdigest()
    if found != lender.sha256:
        raise BundleRefused(
            f"{where}, whose {file} is another one now: its SHA-256 is {found}, this bundle was made for "
            f"{lender.sha256}: bring that one back, or export this bundle again"
        )
    return data


def _manifest(path: Path, text: bytes) -> Manifest:
    """Check the format before anything else: a newer one may look quite different."""
    where = path / MANIFEST
    try:
        tree = json.loads(text)
    except (ValueError, RecursionError) as error:
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


def _verified(path: Path, manifest: Manifest, name: str) -> bytes:
    data = _bytes(path, name)
    found = hashlib.sha256(data).hexdigest()
    if found != manifest.files[name]:
        raise BundleRefused(
            f"{path / name}: was changed or damaged: its SHA-256 is {found}, the manifest says {manifest.files[name]}"
        )
    return data


def _bytes(path: Path, name: str, limit: int = 0) -> bytes:
    """Read a plain file of the folder, through no link and out of no folder but its own."""
    parts = PurePosixPath(name).parts
    if (
        not parts
        or "\\" in name
        or "\0" in name
        or name != "/".join(parts)
        or ".." in parts
        or parts[0] == "/"
    ):
        raise BundleRefused(f"{path / MANIFEST}: {name!r} is not a path inside the bundle")
    try:
        for part in range(1, len(parts) + 1):
            mode = path.joinpath(*parts[:part]).lstat().st_mode
            if stat.S_ISLNK(mode):
                raise BundleRefused(f"{path / name}: is a link; a bundle holds plain files")
        if not stat.S_ISREG(mode):
            raise BundleRefused(f"{path / name}: is not a plain file")
        limit = limit or (MAX_GRAPH_BYTES if name.endswith(".onnx") else MAX_TEXT_BYTES)
        if path.joinpath(name).stat().st_size > limit:
            raise BundleRefused(f"{path / name}: is larger than {limit} bytes")
        return path.joinpath(name).read_bytes()
    except FileNotFoundError:
        raise BundleRefused(f"{path / name}: is missing") from None
    except OSError as error:
        raise BundleRefused(f"{path / name}: cannot be read: {error.strerror}") from None


def _text(path: Path, name: str, data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BundleRefused(f"{path / name}: is not UTF-8: {error.reason} at byte {error.start}") from None


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
        return Transitions.from_json(_text(path, name, _verified(path, manifest, name)), num_labels)
    except InvalidInput as error:
        raise BundleRefused(f"{path / name}: {error}") from None


def _text_labels(path: Path, manifest: Manifest) -> tuple[str, ...]:
    return _names(path, manifest, manifest.text_labels, "text_log_probs")


def _names(path: Path, manifest: Manifest, file: str | None, output: str) -> tuple[str, ...]:
    """Read labels, one a line, in the order of the graphs' output of that name."""
    if file is None:
        return ()
    where = path / file
    text = _text(path, file, _verified(path, manifest, file))
    labels = tuple(line.removesuffix("\r") for line in text.removesuffix("\n").split("\n"))
    if "" in labels or len(set(labels)) < len(labels):
        raise BundleRefused(f"{where}: wants one label a line, none empty and none twice")
    for name, graph in manifest.graphs.items():
        sizes = [tensor.axes[-1] for tensor in graph.outputs if tensor.name == output]
        if sizes and sizes != [len(labels)]:
            raise BundleRefused(f"{where}: has {len(labels)} labels, graph {name} answers {sizes[0]}")
    return labels
