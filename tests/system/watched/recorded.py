"""Three quarters of an hour of a server as Prometheus would have recorded it, which promtool tells the rules.

The series come out of the server's own `Metrics`, so names, labels and buckets are those of a server.
"""

import json
import re
import subprocess
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from service.api.expected import CODES
from service.metrics import Metrics
from tests.system.watched.prometheus import DEPLOY

MINUTES = 45
HERE = {"job": "seqserve", "instance": "here:9100"}
MODEL, STORE, METHOD = "toy/1", "redis", "/seqserve.v1.SequenceService/Translate"
ASKED_FOR = frozenset(re.findall(r"seqserve_\w+", (DEPLOY / "alerts.yml").read_text()))
FIRING = 'count by (alertname) (ALERTS{alertstate="firing"})'

Minute = Callable[[Metrics, dict[str, float]], None]
"""What happens within one minute, to the server's metrics and to what Prometheus knows by itself."""


def well(metrics: Metrics, known: dict[str, float]) -> None:
    """A minute of a server with much to do, just on the good side of every limit."""
    known["up"] = 1
    known.setdefault("process_start_time_seconds", 1000)
    metrics.store_breaker.labels(STORE).state("closed")
    metrics.part_up.labels("log").set(1)
    metrics.save_lag_seconds.set(29)
    metrics.jobs_max.labels(MODEL).set(100)
    metrics.jobs_active.labels(MODEL).set(90)
    metrics.sessions_evicted.labels("memory").inc(59)
    metrics.requests.labels(METHOD, "OK").inc(1990)
    metrics.requests.labels(METHOD, "RESOURCE_EXHAUSTED").inc(10)
    metrics.calls_turned_away.inc(5)
    for seconds, times in ((0.09, 200), (0.2, 1)):
        for _ in range(times):
            metrics.token_seconds.labels(MODEL).observe(seconds)
            metrics.first_token_seconds.labels(MODEL).observe(10 * seconds)
            metrics.loop_seconds.observe(seconds)


def recorded(minute_of: Callable[[int], Minute]) -> list[dict[str, str]]:
    """Series as promtool takes them: a sample a minute."""
    metrics, known = Metrics(), dict[str, float]()
    metrics.expect(metrics.requests, [(METHOD, code) for code in CODES])
    series: dict[str, list[str]] = defaultdict(list)
    for number in range(MINUTES):
        minute_of(number)(metrics, known)
        for name, value in known.items():
            series[_written(name, {})].append(str(value))
        for metric in metrics.registry.collect():
            for sample in metric.samples:
                if sample.name in ASKED_FOR:
                    series[_written(sample.name, sample.labels)].append(str(sample.value))
    return [
        {"series": name, "values": " ".join(["_"] * (MINUTES - len(values)) + values)}
        for name, values in series.items()
    ]


def said_by(folder: Path, minute_of: Callable[[int], Minute], expected: dict[int, set[str]]) -> str:
    """What promtool has to say where other alerts fire at these minutes; nothing where it is as expected."""
    tests = [
        {
            "expr": FIRING,
            "eval_time": f"{minute}m",
            "exp_samples": [{"labels": f'{{alertname="{name}"}}', "value": 1} for name in sorted(names)],
        }
        for minute, names in expected.items()
    ]
    file: dict[str, Any] = {
        "rule_files": [str(DEPLOY / "alerts.yml")],
        "evaluation_interval": "1m",
        "tests": [
            {"interval": "1m", "input_series": recorded(minute_of), "promql_expr_test": tests},
        ],
    }
    (folder / "test.yml").write_text(json.dumps(file))
    done = subprocess.run(
        ["promtool", "test", "rules", "test.yml"], cwd=folder, capture_output=True, text=True
    )
    return "" if done.returncode == 0 else done.stdout + done.stderr


def _written(name: str, labels: dict[str, str]) -> str:
    inside = ",".join(f'{key}="{value}"' for key, value in (labels | HERE).items())
    return f"{name}{{{inside}}}"
