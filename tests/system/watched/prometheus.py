"""A real Prometheus over real replicas: the files of `deploy/`, with other addresses and a quicker clock."""

import functools
import json
import re
import shutil
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import yaml

from tests.system.replicas.processes import ROOT, Running

DEPLOY = ROOT / "deploy"
DASHBOARD: dict[str, Any] = json.loads((DEPLOY / "grafana/dashboards/seqserve.json").read_text())
RULES: list[dict[str, Any]] = yaml.safe_load((DEPLOY / "alerts.yml").read_text())["groups"][0]["rules"]
PATIENCE_S = 60.0

T = TypeVar("T")


class Prometheus(Running):
    """Scrapes every second, evaluates twice a second; alerts fire as soon as they are true."""

    def __init__(self, folder: Path, metrics_ports: Sequence[int]) -> None:
        super().__init__("prometheus", folder)
        config = yaml.safe_load((DEPLOY / "prometheus.yml").read_text())
        config["global"] = {
            "scrape_interval": "1s",
            "scrape_timeout": "1s",
            "evaluation_interval": "500ms",
        }
        [job] = config["scrape_configs"]
        job["static_configs"] = [{"targets": [f"127.0.0.1:{port}" for port in metrics_ports]}]
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
        text = (DEPLOY / "alerts.yml").read_text()
        (folder / "alerts.yml").write_text(re.sub(r"^( +for:) \S+$", r"\1 0s", text, flags=re.MULTILINE))

    @staticmethod
    def program() -> str | None:
        return shutil.which("prometheus")

    def command(self) -> Sequence[str]:
        return (
            self.program() or "prometheus",
            "--config.file=prometheus.yml",
            "--storage.tsdb.path=data",
            f"--web.listen-address={self.address}",
            "--log.level=warn",
        )

    def ask(self, what: str, **parts: str) -> Any:
        where = f"http://{self.address}/api/v1/{what}?{urllib.parse.urlencode(parts)}"
        with urllib.request.urlopen(where, timeout=PATIENCE_S) as answer:
            return json.load(answer)["data"]

    def values(self, query: str) -> list[float]:
        """What a query comes to now, series by series."""
        result = self.ask("query", query=query)["result"]
        return [float(series["value"][1]) for series in result]

    def firing(self) -> set[str]:
        return {
            one["labels"]["alertname"] for one in self.ask("alerts")["alerts"] if one["state"] == "firing"
        }

    def evaluate_again(self) -> None:
        """Wait until every rule has been evaluated with samples that are here by now."""
        for _ in range(2):  # the first may have been under way
            before = self._evaluated_at()
            until(functools.partial(self._is_later_than, before), "the rules are not evaluated")

    def _is_later_than(self, before: float) -> bool:
        return self._evaluated_at() > before

    def _evaluated_at(self) -> float:
        [group] = self.ask("rules")["groups"]
        return min(datetime.fromisoformat(rule["lastEvaluation"]).timestamp() for rule in group["rules"])


def until(look: Callable[[], T], what: str) -> T:
    """Wait for it to come true."""
    end = time.monotonic() + PATIENCE_S
    while not (found := look()):
        assert time.monotonic() < end, what
        time.sleep(0.2)
    return found


def panel_queries() -> list[tuple[str, str]]:
    """(panel, query as Grafana sends it), of the whole dashboard."""
    found = [
        (panel["title"], target["expr"])
        for panel in DASHBOARD["panels"]
        for target in panel.get("targets", ())
    ]
    return [(title, _filled_in(query)) for title, query in found]


def _filled_in(query: str) -> str:
    for name, value in (("$__rate_interval", "10s"), ("$instance", ".*"), ("$model", ".*")):
        query = query.replace(name, value)
    assert "$" not in query, query
    return query


def measured(rule: dict[str, Any]) -> str:
    """What an alert compares with its limit."""
    measured, _, limit = re.fullmatch(r"(.*) (>|==) ([\d.]+)", rule["expr"], re.DOTALL).groups()  # type: ignore[union-attr]
    assert float(limit) >= 0
    return str(measured)
