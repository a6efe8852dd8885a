"""What `deploy/kubernetes` names exists, fits together, and is what the API of Kubernetes takes."""

import re
import shutil
import subprocess
import tomllib
from typing import Any

import kubernetes_validate
import pytest
import yaml

from service.config import Settings
from service.metrics import Metrics
from service.server import LAST_WORDS_S
from tests.deploy.manifests import FOLDER, ROOT, Manifest, Manifests

FOLDERS = "base", "try-out"
VERSIONS = "1.27", "1.30", "1.34", "1.37"
"""Of Kubernetes: gRPC probes are stable since 1.27."""
SLACK_S = 5 * LAST_WORDS_S
"""What a drain takes at most beyond `server.grace_s`: health, those turned out, the store, the port, the parts."""

BASE = Manifests.base()
SETTINGS = Settings.model_validate(BASE.settings)
PROBES = "startupProbe", "readinessProbe", "livenessProbe"


# What it is


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("folder", FOLDERS)
def test_every_object_is_what_the_api_takes(folder: str, version: str) -> None:
    objects = Manifests.of(folder).objects
    assert len(objects) >= 8
    for one in objects:
        assert kubernetes_validate.validate(one, version, strict=True) == version


def test_an_object_with_a_word_that_the_api_does_not_know_is_refused() -> None:
    pod = Manifests.base().get("Deployment")
    pod["spec"]["template"]["spec"]["terminationGracePeriod"] = 60
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(pod, VERSIONS[-1], strict=True)


@pytest.mark.parametrize("folder", FOLDERS)
def test_kustomize_makes_what_these_tests_look_at(folder: str) -> None:
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip(
            "no package index that the tests use has kubectl; their own rendering is checked without it"
        )
    answer = subprocess.run(
        [kubectl, "kustomize", str(FOLDER / folder)], capture_output=True, text=True, timeout=60, check=True
    )
    assert _by_name(list(yaml.safe_load_all(answer.stdout))) == _by_name(Manifests.of(folder).objects)


def _by_name(objects: list[Manifest]) -> dict[tuple[str, str], Manifest]:
    found = {(one["kind"], one["metadata"]["name"]): one for one in objects}
    assert len(found) == len(objects)
    return found


def test_every_file_belongs_to_a_kustomization() -> None:
    for folder in FOLDERS:
        listed = yaml.safe_load((FOLDER / folder / "kustomization.yaml").read_text())["resources"]
        there = {path.name for path in (FOLDER / folder).iterdir()} - {"kustomization.yaml"}
        assert there == {name for name in listed if not name.startswith("../")}


# Names of ours


def test_the_settings_file_is_one_that_the_server_takes() -> None:
    assert SETTINGS.store.kind == "redis"
    assert SETTINGS.keys.snapshot_keys_file
    assert SETTINGS.store.password_file


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_setting_that_a_comment_names_exists(folder: str) -> None:
    pieces = {name: type(getattr(SETTINGS, name)).model_fields for name in Settings.model_fields}
    named = re.findall(rf"\b({'|'.join(pieces)})\.([a-z_]+)\b", _text(folder))
    settings = [(piece, name) for piece, name in named if name not in {"yaml", "toml", "keys"}]
    assert all(name in pieces[piece] for piece, name in settings), settings
    assert settings or folder != "base"


def _text(folder: str) -> str:
    return "\n".join(path.read_text() for path in sorted((FOLDER / folder).glob("*.yaml")))


def test_every_metric_of_the_autoscaler_is_a_gauge_of_the_server_with_these_labels() -> None:
    gauges = {one.name: one for one in Metrics().registry.collect() if one.type == "gauge"}
    metrics = [one["pods"]["metric"] for one in BASE.get("HorizontalPodAutoscaler")["spec"]["metrics"]]
    assert {one["name"] for one in metrics} == {
        "seqserve_sessions",
        "seqserve_queue_depth",
        "seqserve_slots_taken",
    }
    assert {one["name"] for one in metrics} <= gauges.keys()
    (sessions,) = (one for one in metrics if one["name"] == "seqserve_sessions")
    assert sessions["selector"]["matchLabels"] == {"tier": "held"}


def test_a_server_has_the_tier_that_the_autoscaler_looks_at() -> None:
    from service.server import Server

    value = Server(Settings()).metrics.registry.get_sample_value("seqserve_sessions", {"tier": "held"})
    assert value == 0


def test_the_autoscalers_numbers_follow_from_the_settings() -> None:
    targets = {
        one["pods"]["metric"]["name"]: int(one["pods"]["target"]["averageValue"])
        for one in BASE.get("HorizontalPodAutoscaler")["spec"]["metrics"]
    }
    assert targets["seqserve_queue_depth"] == SETTINGS.scheduler.max_batch
    assert targets["seqserve_slots_taken"] == SETTINGS.scheduler.max_batch * 3 // 4
    assert targets["seqserve_sessions"] < SETTINGS.sessions.max_sessions


def test_the_image_is_this_version_and_runs_as_the_user_of_the_dockerfile() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert BASE.container["image"] == f"seqserve:{version}"
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert f"--uid {BASE.pod['securityContext']['runAsUser']} " in dockerfile
    assert "SEQSERVE_SERVER__HOST=0.0.0.0" in dockerfile  # which is why the settings file does not say it
    assert "host" not in BASE.settings["server"]


def test_the_image_has_what_the_store_of_the_manifests_needs() -> None:
    assert "-r requirements/${PACKAGES}.txt" in (ROOT / "Dockerfile").read_text()
    assert "\nredis==" in (ROOT / "requirements" / "serve.txt").read_text()


# What fits together


def test_the_ports_are_the_settings_ports_everywhere() -> None:
    grpc, metrics = SETTINGS.server.port, SETTINGS.server.metrics_port
    assert {one["name"]: one["containerPort"] for one in BASE.container["ports"]} == {
        "grpc": grpc,
        "metrics": metrics,
    }
    for name in ("seqserve", "seqserve-replicas"):
        for port in BASE.get("Service", name)["spec"]["ports"]:
            assert port["port"] == {"grpc": grpc, "metrics": metrics}[port["targetPort"]]
    allowed = [port["port"] for rule in _network("ingress") for port in rule["ports"]]
    assert sorted(allowed) == sorted((grpc, metrics))
    template = BASE.get("Deployment")["spec"]["template"]
    assert template["metadata"]["annotations"]["prometheus.io/port"] == str(metrics)


def _network(way: str) -> list[Manifest]:
    rules: list[Manifest] = BASE.get("NetworkPolicy")["spec"][way]
    return rules


@pytest.mark.parametrize("name", PROBES)
def test_each_probe_asks_the_health_of_the_whole_server(name: str) -> None:
    assert BASE.container[name]["grpc"] == {"port": SETTINGS.server.port}  # no service: the overall one


def test_the_grace_period_holds_the_hook_and_the_whole_drain() -> None:
    assert BASE.seconds_after_sigterm >= SETTINGS.server.grace_s + SLACK_S


def test_an_update_takes_no_replica_away_before_its_successor_is_ready() -> None:
    strategy = BASE.get("Deployment")["spec"]["strategy"]
    assert strategy == {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    budget = BASE.get("PodDisruptionBudget")["spec"]
    assert budget["maxUnavailable"] < BASE.get("HorizontalPodAutoscaler")["spec"]["minReplicas"]
    assert BASE.get("Deployment")["spec"]["replicas"] == 3


def test_everything_selects_the_servers_pods() -> None:
    labels = BASE.get("Deployment")["spec"]["template"]["metadata"]["labels"]
    selecting: list[Any] = [
        BASE.get("Service")["spec"]["selector"],
        BASE.get("Service", "seqserve-replicas")["spec"]["selector"],
        *(one["labelSelector"]["matchLabels"] for one in BASE.pod["topologySpreadConstraints"]),
        *(
            BASE.get(kind)["spec"][key]["matchLabels"]
            for kind, key in (
                ("Deployment", "selector"),
                ("PodDisruptionBudget", "selector"),
                ("NetworkPolicy", "podSelector"),
            )
        ),
    ]
    assert all(one.items() <= labels.items() for one in selecting)
    target = BASE.get("HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]
    assert BASE.get(target["kind"], target["name"])["apiVersion"] == target["apiVersion"]


def test_each_file_that_the_settings_name_is_mounted_and_for_the_group_only() -> None:
    folders = {mount["name"]: mount["mountPath"] for mount in BASE.container["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in BASE.pod["volumes"]}
    assert folders.keys() == volumes.keys()
    assert str(SETTINGS.keys.snapshot_keys_file) == f"{folders['keys']}/snapshot.keys"
    assert str(SETTINGS.store.password_file) == f"{folders['store']}/password"
    for name in ("keys", "store"):
        assert volumes[name]["secret"]["defaultMode"] == 0o440
    assert BASE.container["args"] == ["serve", "--config", f"{folders['settings']}/settings.toml"]


def test_the_sessions_memory_leaves_as_much_again_within_the_limit() -> None:
    limit = BASE.container["resources"]["limits"]["memory"]
    assert limit.endswith("Gi")
    assert int(limit[:-2]) * 1024**3 >= 2 * SETTINGS.sessions.max_memory_bytes


@pytest.mark.parametrize("folder", FOLDERS)
def test_nothing_runs_as_root_or_writes_beside_its_volumes(folder: str) -> None:
    for pod in Manifests.of(folder).pods():
        assert pod["spec"]["securityContext"]["runAsNonRoot"] is True
        assert pod["spec"]["automountServiceAccountToken"] is False
        for container in pod["spec"]["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert container["resources"]["requests"].keys() == {"cpu", "memory"}
            assert "memory" in container["resources"]["limits"]


# The overlay


def test_the_trial_has_the_redis_that_the_base_speaks_to() -> None:
    trial = Manifests.of("try-out")
    url = SETTINGS.store.url.get_secret_value()
    name, port = re.findall(r"^redis://([a-z-]+):(\d+)/", url)[0]
    service = trial.get("Service", name)["spec"]
    labels = trial.get("StatefulSet", name)["spec"]["template"]["metadata"]["labels"]
    assert [one["port"] for one in service["ports"]] == [int(port)]
    assert service["selector"].items() <= labels.items()
    (out,) = (
        rule for rule in _network("egress") if rule["ports"] == [{"protocol": "TCP", "port": int(port)}]
    )
    assert out["to"] == [{"podSelector": {"matchLabels": labels}}]
    (secret,) = trial.get("StatefulSet", name)["spec"]["template"]["spec"]["volumes"]
    servers = {volume["name"]: volume for volume in BASE.pod["volumes"]}
    assert secret["secret"]["secretName"] == servers["store"]["secret"]["secretName"]


def test_the_readme_makes_each_secret_with_the_file_that_the_settings_name() -> None:
    readme = (ROOT / "deploy" / "README.md").read_text()
    made = dict(re.findall(r"create secret generic ([a-z-]+) --from-file=([a-z.]+)=", readme))
    assert made == {"seqserve-keys": "snapshot.keys", "seqserve-store": "password"}
    assert made.keys() == {
        volume["secret"]["secretName"] for volume in BASE.pod["volumes"] if "secret" in volume
    }
