"""What docs/operations.md names is there: settings, metrics, commands, files, services, panels."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from service.config import Settings
from service.metrics import Metrics
from tests.service.cli.process import Process

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
TEXT = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
DASHBOARD: dict[str, Any] = json.loads((DEPLOY / "grafana/dashboards/seqserve.json").read_text())
PIECES = Settings.model_fields


def metric_names() -> set[str]:
    return {sample for one in Metrics().registry.collect() for sample in (one.name, f"{one.name}_total")}


def test_every_setting_that_is_named_exists() -> None:
    named = re.findall(r"`([a-z]+)\.([a-z_]+)\b", TEXT)
    named += [
        (piece.lower(), name.lower()) for piece, name in re.findall(r"SEQSERVE_([A-Z]+)__([A-Z_]+)", TEXT)
    ]
    settings = [(piece, name) for piece, name in named if piece in PIECES]
    assert len(settings) > 8
    for piece, name in settings:
        assert name in type(PIECES[piece].default).model_fields, f"{piece}.{name}"


@pytest.mark.parametrize("file", ["alerts.yml", "grafana/dashboards/seqserve.json"])
def test_every_metric_that_is_asked_for_exists(file: str) -> None:
    asked = set(re.findall(r"\bseqserve_[a-z_]+", (DEPLOY / file).read_text() + TEXT))
    asked = {re.sub(r"_(bucket|sum|count)$", "", name) for name in asked}
    assert len(asked) > 5
    assert asked <= metric_names()


def test_every_metric_of_ours_is_on_the_dashboard() -> None:
    shown = (DEPLOY / "grafana/dashboards/seqserve.json").read_text()
    ours = {one.name for one in Metrics().registry.collect() if one.name.startswith("seqserve_")}
    assert {name for name in ours if f"{name}" not in shown} == set()


def test_every_panel_that_is_named_is_on_the_dashboard() -> None:
    titles = {panel["title"] for panel in DASHBOARD["panels"]}
    named = set(re.findall(r'"([A-Z][a-z ]+)"', TEXT))
    named |= {row.removesuffix(", p99") for row in re.findall(r"^\| ([A-Z][^|]*?) \| ", TEXT, re.MULTILINE)}
    assert len(named) > 5
    assert named <= titles


def test_panels_are_all_of_one_source_and_none_lies_on_another() -> None:
    places = [tuple(panel["gridPos"].values()) for panel in DASHBOARD["panels"]]
    assert len(set(places)) == len(places)
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(places)
    [source] = yaml.safe_load((DEPLOY / "grafana/provisioning/datasources/prometheus.yaml").read_text())[
        "datasources"
    ]
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", ()):
            assert target["datasource"]["uid"] == source["uid"]


def test_every_command_of_ours_that_is_named_exists() -> None:
    for command in set(re.findall(r"^seqserve ([a-z]+)|`seqserve ([a-z]+)", TEXT, re.MULTILINE)):
        assert Process()("".join(command), "--help").code == 0


def test_compose_mounts_files_that_are_there_and_knows_settings_that_exist() -> None:
    for service in COMPOSE["services"].values():
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            assert not source.startswith(".") or (DEPLOY / source).exists(), volume
    environment = COMPOSE["services"]["seqserve-0"]["environment"]
    values = {name: value for name, value in environment.items() if "${" not in value}
    settings = Settings.load(environment=values)
    assert settings.store.kind == "redis"
    grace = int(COMPOSE["services"]["seqserve-0"]["stop_grace_period"].removesuffix("s"))
    assert grace > settings.server.grace_s
    ports = re.findall(r"seqserve-\d:(\d+)", (DEPLOY / "prometheus.yml").read_text())
    assert set(ports) == {str(settings.server.metrics_port)}
