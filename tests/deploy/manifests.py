"""The manifests of `deploy/kubernetes`, made as Kustomize makes them of what they use: resources, namespace, images."""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import yaml

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "deploy" / "kubernetes"
USED = {"apiVersion", "kind", "resources", "namespace", "images"}
"""What this rendering knows of a kustomization."""

Manifest = dict[str, Any]


def rendered(folder: Path) -> list[Manifest]:
    """Every object of the folder's kustomization."""
    kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text())
    assert kustomization.keys() <= USED, f"the tests cannot render {kustomization.keys() - USED}"
    found: list[Manifest] = []
    for name in kustomization["resources"]:
        path = folder / name
        found += rendered(path) if path.is_dir() else yaml.safe_load_all(path.read_text())
    for one in found:
        if "namespace" in kustomization and one["kind"] != "Namespace":
            one["metadata"]["namespace"] = kustomization["namespace"]
        for container in _containers(one):
            container["image"] = _image(container["image"], kustomization.get("images", ()))
    return found


def _containers(manifest: Manifest) -> list[Manifest]:
    pod = manifest.get("spec", {}).get("template", {}).get("spec", {})
    return [*pod.get("containers", ())]


def _image(image: str, changes: list[Mapping[str, str]]) -> str:
    name, _, tag = image.partition(":")
    for change in changes:
        if change["name"] == name:
            return f"{change.get('newName', name)}:{change.get('newTag', tag)}"
    return image


@dataclass(frozen=True)
class Manifests:
    """Objects by kind and name, and what tests ask of them."""

    objects: list[Manifest]

    @classmethod
    def of(cls, name: str) -> Self:
        """Of a folder in `deploy/kubernetes`."""
        return cls(rendered(FOLDER / name))

    @classmethod
    def base(cls) -> Self:
        return cls.of("base")

    def get(self, kind: str, name: str = "seqserve") -> Manifest:
        found = [one for one in self.objects if (one["kind"], one["metadata"]["name"]) == (kind, name)]
        assert len(found) == 1, f"{len(found)} objects are {kind} {name}"
        return found[0]

    @property
    def pod(self) -> Manifest:
        """The server's."""
        spec: Manifest = self.get("Deployment")["spec"]["template"]["spec"]
        return spec

    @property
    def container(self) -> Manifest:
        (found,) = self.pod["containers"]
        return dict(found)

    @property
    def settings_text(self) -> str:
        return str(self.get("ConfigMap", "seqserve-settings")["data"]["settings.toml"])

    @property
    def settings(self) -> Mapping[str, Mapping[str, Any]]:
        return tomllib.loads(self.settings_text)

    @property
    def seconds_before_sigterm(self) -> float:
        """What the preStop hook takes."""
        command, seconds = self.container["lifecycle"]["preStop"]["exec"]["command"]
        assert command == "sleep"
        return float(seconds)

    @property
    def seconds_after_sigterm(self) -> float:
        """What is left of the grace period after the hook: then comes SIGKILL."""
        return float(self.pod["terminationGracePeriodSeconds"]) - self.seconds_before_sigterm

    def pods(self) -> Iterator[Manifest]:
        """The pods of everything that runs."""
        for one in self.objects:
            if "template" in one.get("spec", {}):
                yield one["spec"]["template"]
