"""The graphs of a bundle, each with its weights in it: from this bundle, or from another one that it names."""

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from service.bundle.files import MANIFEST, MAX_GRAPH_BYTES, read_plain, read_verified
from service.bundle.manifest import Lender, Manifest
from service.bundle.messages import Damaged
from service.bundle.weights import WEIGHTS, Misplaced, check_alike, joined, places
from service.errors import BundleRefused


def read_whole(path: Path, manifest: Manifest, file: str) -> bytes:
    """A graph's file, with its weights in it where graphs share some; BundleRefused."""
    data = read_verified(path, manifest, file)
    return (
        _whole(path / file, data, read_verified(path, manifest, WEIGHTS))
        if WEIGHTS in manifest.files
        else data
    )


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
        data, found = graph_in(folder, file, lender.sha256)
    except BundleRefused as error:
        raise BundleRefused(f"{where}: {error}") from None
    if found != lender.sha256:
        raise BundleRefused(
            f"{where}, whose {file} is another one now: its SHA-256 is {found}, this bundle was made for "
            f"{lender.sha256}: bring that one back, or export this bundle again"
        )
    return data


def graph_in(folder: Path, file: str, wanted: str) -> tuple[bytes, str]:
    """A graph's bytes and their SHA-256, where that is not the `wanted` one with its shared weights; BundleRefused."""
    data = read_plain(folder, file, MAX_GRAPH_BYTES)
    found = hashlib.sha256(data).hexdigest()
    if found != wanted:
        with suppress(Damaged, Misplaced):  # then it is not what is wanted either
            if places(data):
                data = joined(data, read_plain(folder, WEIGHTS))
                found = hashlib.sha256(data).hexdigest()
    return data, found


def whole_hashes(path: Path, manifest: Manifest) -> Mapping[str, str]:
    """Of the graphs that share weights, all of which are where they are said to be; BundleRefused."""
    if WEIGHTS not in manifest.files:
        return {}
    weights = read_verified(path, manifest, WEIGHTS)
    own = {name: graph.file for name, graph in manifest.graphs.items() if graph.taken_from is None}
    graphs = {name: read_verified(path, manifest, file) for name, file in own.items()}
    whole = {name: _whole(path / own[name], graph, weights) for name, graph in graphs.items()}
    try:
        check_alike([places(graph) for graph in graphs.values()])
    except Misplaced as error:
        raise BundleRefused(f"{path / WEIGHTS}: {error}") from None
    return {name: hashlib.sha256(graph).hexdigest() for name, graph in whole.items()}


def _whole(where: Path, graph: bytes, weights: bytes) -> bytes:
    try:
        return joined(graph, weights)
    except Damaged as error:
        raise BundleRefused(f"{where}: is no ONNX file: {error}") from None
    except Misplaced as error:
        raise BundleRefused(f"{where}: {error}") from None
