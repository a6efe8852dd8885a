"""What a server holds while it soaks, and whether that grows."""

import re
import statistics
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import Running, resident_bytes

GAUGES = {
    "calls": "seqserve_calls_active",
    "jobs": "seqserve_jobs_active",
    "queue": "seqserve_queue_depth",
    "slots": "seqserve_slots_taken",
    "sessions": "seqserve_sessions",
    "session bytes": "seqserve_session_bytes",
    "tasks": "seqserve_tasks",
    "objects": "seqserve_memory_blocks",
}
"""Of the metrics page, summed over their labels."""
BOUNDS = {
    "memory, MiB": (16.0, 0.08),
    "objects": (20_000.0, 0.05),
    "handles": (8.0, 0.1),
    "threads": (2.0, 0.05),
    "calls": (5.0, 0.5),
    "jobs": (5.0, 0.5),
    "queue": (5.0, 0.5),
    "slots": (5.0, 0.5),
    "sessions": (10.0, 0.25),
    "session bytes": (200_000.0, 0.25),
    "tasks": (10.0, 0.5),
}
"""What may be grown over the whole run without anything being wrong: at most so much, or this share of the mean."""
LEFT = {"calls": 0, "jobs": 0, "queue": 0, "slots": 0, "sessions": 0, "tasks": 40}
"""What may be there at most when everybody has left and all has expired."""
NUM_BLOCKS = 10
WARM_UP = 0.3
"""Of the run, which does not count: pools fill and models come in."""

Sample = dict[str, float]


@dataclass(frozen=True, slots=True)
class Trend:
    """A straight line through the means of stretches of the run."""

    mean: float
    grown: float
    """From the first to the last stretch, along the line."""
    error: float
    """Standard error of that."""

    @classmethod
    def of(cls, values: Sequence[float]) -> "Trend":
        """What follows each other is alike, so stretches are compared and not samples."""
        size = max(1, len(values) // NUM_BLOCKS)
        means = [statistics.fmean(values[at : at + size]) for at in range(0, len(values) - size + 1, size)]
        if len(means) < 3:
            return cls(statistics.fmean(values), 0.0, 0.0)
        xs = [at / (len(means) - 1) for at in range(len(means))]
        slope, intercept = statistics.linear_regression(xs, means)
        rest = sum((y - intercept - slope * x) ** 2 for x, y in zip(xs, means, strict=True))
        spread = sum((x - statistics.fmean(xs)) ** 2 for x in xs)
        return cls(statistics.fmean(means), slope, (rest / (len(means) - 2) / spread) ** 0.5)

    def allowed(self, bound: tuple[float, float]) -> float:
        return max(bound[0], bound[1] * self.mean)

    def is_flat(self, bound: tuple[float, float]) -> bool:
        """Whether it has not grown by more than is allowed, beyond twice the error."""
        return self.grown - 2 * self.error <= self.allowed(bound)


def trends(samples: Sequence[Sample]) -> dict[str, Trend]:
    """Of all that is measured, the warm-up left out."""
    warm = samples[int(len(samples) * WARM_UP) :]
    return {name: Trend.of([sample[name] for sample in warm]) for name in BOUNDS}


def grown(found: dict[str, Trend]) -> list[str]:
    """What has grown beyond its bound."""
    return [name for name, trend in found.items() if not trend.is_flat(BOUNDS[name])]


def left_over(sample: Sample) -> list[str]:
    """What is still held that nobody uses any more."""
    return [f"{name}: {sample[name]:g}" for name, most in LEFT.items() if sample[name] > most]


def sample(served: Running) -> Sample:
    """What the server holds now."""
    process = Path(f"/proc/{served.process.pid}")
    with urllib.request.urlopen(served.metrics, timeout=30) as answer:
        page = answer.read().decode()
    status = process.joinpath("status").read_text("ascii")
    return {
        "memory, MiB": resident_bytes(served.process.pid) / 2**20,
        "handles": len(list(process.joinpath("fd").iterdir())),
        "threads": int(re.findall(r"^Threads:\s+(\d+)$", status, re.M)[0]),
        **{name: _sum(page, metric) for name, metric in GAUGES.items()},
    }


def _sum(page: str, metric: str) -> float:
    return sum(
        float(value)
        for labels, value in re.findall(rf"^{metric}(\{{[^}}]*\}})? (\S+)$", page, re.M)
        if 'tier="cold"' not in labels
    )
