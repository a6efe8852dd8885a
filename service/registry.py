"""What is served: name and version → bundle, engine and scheduler."""

import re
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import structlog

from service.bundle import Bundle
from service.bundle.manifest import Manifest, Task
from service.engine import Engine
from service.errors import BundleRefused, ConfigRefused, InvalidInput, ModelNotFound, NotPossible
from service.scheduler import Scheduler

log = structlog.get_logger(__name__)

CODES = "; languages are given by their codes, such as es"


@dataclass(frozen=True)
class Served:
    """A model version that answers."""

    bundle: Bundle
    engine: Engine
    scheduler: Scheduler

    @property
    def manifest(self) -> Manifest:
        """What it is."""
        return self.bundle.manifest

    @property
    def label(self) -> str:
        """`<name>/<version>`: what it is called in metrics, health and the log."""
        return f"{self.manifest.name}/{self.manifest.version}"

    def close(self) -> None:
        """End its thread, then its engine."""
        self.scheduler.close()
        self.engine.close()


class Registry:
    """Finds models by name, version, task and languages. The server hands in what makes a bundle served."""

    def __init__(self, make: Callable[[Bundle], Served]) -> None:
        self._make = make
        self._served: list[Served] = []
        self._retired: list[Served] = []
        self.refused: dict[str, str] = {}
        """`<name>/<version>` → why it is not served."""

    def load_all(self, repository: Path, only: Collection[str] | None = None) -> None:
        """Serve every `<name>/<version>` of the folder, or of those the ones in `only`.

        What is refused is kept in `refused`, the others serve.
        """
        for name, version, path in bundles_in(repository):
            if only is not None and f"{name}/{version}" not in only:
                continue
            try:
                self._served.append(self._load(name, version, path))
            except BundleRefused as error:
                self.refused[f"{name}/{version}"] = str(error)
            except ConfigRefused:  # the fault of no model
                raise
            except Exception as error:  # whatever is wrong with one model, the others serve
                self.refused[f"{name}/{version}"] = f"{path}: could not be loaded: {error!r}"
                log.exception("model_broke", model=f"{name}/{version}")
        self._served = _sorted(self._served)

    def load(self, repository: Path, name: str, version: str = "") -> Served:
        """Serve one more version, the newest of the folder where none is named; BundleRefused, ModelNotFound."""
        found = {v: path for n, v, path in bundles_in(repository) if n == name}
        version = version or max(found, key=natural_order, default="")
        if version not in found:
            there = _there_are(iter(sorted(found, key=natural_order)))
            raise ModelNotFound(
                f"the repository holds no {name}/{version or 'any version'}; {there}", name=name
            )
        for served in (*self._served, *self._retired):
            if (served.manifest.name, served.manifest.version) == (name, version):
                raise NotPossible(f"{name}/{version} is served already, or its last sessions are")
        served = self._load(name, version, found[version])
        self.refused.pop(f"{name}/{version}", None)
        self._served = _sorted([*self._served, served])
        return served

    def retire(self, name: str, version: str) -> Served:
        """Serve a version to nobody but its sessions, which find it by `pinned`."""
        for served in self._served:
            if (served.manifest.name, served.manifest.version) == (name, version):
                self._served = [other for other in self._served if other is not served]
                self._retired.append(served)
                return served
        there = _there_are(f"{s.manifest.name}/{s.manifest.version}" for s in self._served)
        raise ModelNotFound(f"{name}/{version} is not served; {there}", name=f"{name}/{version}")

    def pinned(self, name: str, version: str) -> Served:
        """The version that a session was opened on, retired or not; ModelNotFound."""
        for served in (*self._served, *self._retired):
            if (served.manifest.name, served.manifest.version) == (name, version):
                return served
        raise ModelNotFound(f"{name}/{version} is not served here", name=f"{name}/{version}")

    def forget(self, served: Served) -> None:
        """A retired version has no sessions any more; whoever calls closes it."""
        self._retired.remove(served)

    def find(
        self,
        name: str = "",
        version: str = "",
        *,
        task: Task | None = None,
        source_language: str = "",
        target_language: str = "",
        simultaneous: bool = False,
    ) -> Served:
        """Return the newest version that fits; ModelNotFound lists what there is, InvalidInput an open choice.

        Where no name is given and several fit, those that write while a source comes in are for whoever wants that.
        """
        asked = _Asked(name, version, task, source_language, target_language)
        fitting = [served for served in self._served if asked.fits(served.manifest)]
        if not name:
            fitting = [one for one in fitting if one.manifest.simultaneous == simultaneous] or fitting
        if not fitting:
            raise ModelNotFound(asked.missing([s.manifest for s in self._served]), name=asked.label)
        names = sorted({served.manifest.name for served in fitting})
        if len(names) > 1:
            raise InvalidInput(
                f"several models fit: {', '.join(names)}; name one of them", field="model.name"
            )
        return fitting[0]

    def all(self) -> list[Served]:
        """All served versions, by name, the newest of each first."""
        return list(self._served)

    def labels(self) -> set[str]:
        """`<name>/<version>` of all that is served, if only to its last sessions, or was meant to be."""
        return {*self.refused, *(served.label for served in (*self._served, *self._retired))}

    def trouble(self, label: str) -> str:
        """Why a version does not work, or is not served at all; empty where it works."""
        for served in (*self._served, *self._retired):
            if served.label == label:
                return served.scheduler.trouble
        return self.refused.get(label, "")

    def tend(self) -> None:
        """To be called every second: end runs that do not end, try again what fails."""
        for served in (*self._served, *self._retired):
            served.scheduler.tend()

    def drain(self, timeout: float) -> bool:
        """Drain all schedulers within `timeout` seconds together; blocks. Whether all ended by themselves."""
        until = time.monotonic() + timeout
        every = [*self._served, *self._retired]
        for served in every:
            served.scheduler.stop_accepting()
        ended = [served.scheduler.drain(max(0.0, until - time.monotonic())) for served in every]
        return all(ended)

    def close(self) -> None:
        """End all schedulers and engines; nothing is served any more."""
        served, self._served, self._retired = [*self._served, *self._retired], [], []
        for one in served:
            one.close()

    def _load(self, name: str, version: str, path: Path) -> Served:
        if not path.resolve().is_relative_to(path.parents[1].resolve()):
            raise BundleRefused(f"{path}: is a link that leads out of the repository")
        bundle = Bundle.read(path)
        found = f"{bundle.manifest.name}/{bundle.manifest.version}"
        if found != f"{name}/{version}":
            raise BundleRefused(f"{path}: the manifest calls itself {found}; folder and manifest must agree")
        bundle.vocabulary_size  # noqa: B018  read now, so that a damaged one is refused here and not at the first request
        return self._make(bundle)


@dataclass(frozen=True)
class _Asked:
    """What a request says about the model it wants; what is empty does not matter."""

    name: str
    version: str
    task: Task | None
    source: str
    target: str

    def fits(self, manifest: Manifest) -> bool:
        return (
            self.name in ("", manifest.name)
            and self.version in ("", manifest.version)
            and self.task in (None, manifest.task)
            and self.source.lower() in ("", manifest.source_language.lower())
            and self.target.lower() in ("", manifest.target_language.lower())
        )

    @property
    def pair(self) -> str:
        return f"{self.source or 'any'}→{self.target or 'any'}" if self.source or self.target else ""

    @property
    def label(self) -> str:
        return "/".join(filter(None, [self.name, self.version])) or self.pair or str(self.task or "")

    def missing(self, manifests: Sequence[Manifest]) -> str:
        """Say which of the wishes nothing fulfils, and what there is instead."""
        named = [m for m in manifests if self.name in ("", m.name)]
        able = [m for m in named if self.task in (None, m.task)]
        if not named:
            names = [m.name for m in manifests]
            return f"no model is called {self.name!r}; {_nearest(self.name, names)}{_there_are(names)}"
        if not able:
            there = _there_are(f"{m.name} ({m.task})" for m in manifests)
            if not self.name:
                return f"no model serves the task {self.task}; {there}"
            return f"{self.name} does not serve the task {self.task}; {there}"
        versions = [m for m in able if self.version in ("", m.version)]
        if not versions:
            return f"no version {self.version!r}; {_there_are(f'{m.name}/{m.version}' for m in able)}"
        there = _there_are(f"{m.source_language}→{m.target_language}" for m in versions if m.target_language)
        told = f"{self.name or 'what is served here'} does not translate {self.pair}; {there}"
        return told + CODES if _are_names(self.source, self.target) else told


def _sorted(served: list[Served]) -> list[Served]:
    """By name, the newest version of each first."""
    newest_first = sorted(served, key=lambda s: natural_order(s.manifest.version), reverse=True)
    return sorted(newest_first, key=lambda s: s.manifest.name)


def natural_order(version: str) -> list[tuple[bool, int, str]]:
    """Sort key by which 10 comes after 9: numbers are compared as numbers."""
    parts = [part for part in re.split(r"([0-9]+)", version) if part]
    return [(part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in parts]


def bundles_in(repository: Path) -> Iterator[tuple[str, str, Path]]:
    """Yield name, version and folder of everything that means to be a bundle; hidden folders do not."""
    for path in sorted(repository.glob("*/*")):
        name, version = path.parts[-2:]
        if path.is_dir() and not name.startswith(".") and not version.startswith("."):
            yield name, version, path


def _nearest(name: str, names: Sequence[str]) -> str:
    return "".join(f"did you mean {near}? " for near in get_close_matches(name, names, 1))


def _are_names(*languages: str) -> bool:
    """Whether one of them is a word such as Spanish: the code of a language has two or three letters."""
    return any(len(language.partition("-")[0]) > 3 for language in languages)


def _there_are(names: Iterable[str]) -> str:
    return f"there are: {', '.join(dict.fromkeys(names)) or 'none'}"
