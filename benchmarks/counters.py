"""The server's own counters, read from its metrics page before and after."""

import re
import urllib.request
from dataclasses import dataclass

_LINE = re.compile(r'^seqserve_(\w+)\{graph="(\w+)",model="([^"/]+)/[^"]*"\} (\S+)$', re.M)


@dataclass(frozen=True, slots=True)
class Counters:
    """Sums so far, by name, graph and model."""

    values: dict[tuple[str, str, str], float]

    @classmethod
    def read(cls, url: str) -> "Counters":
        """Read the page; nothing where there is none."""
        if not url:
            return cls({})
        with urllib.request.urlopen(url, timeout=10) as page:
            found = _LINE.findall(page.read().decode())
        return cls({(name, graph, model): float(value) for name, graph, model, value in found})

    def since(self, before: "Counters") -> "Counters":
        return Counters({key: value - before.values.get(key, 0.0) for key, value in self.values.items()})

    def mean_batch(self, model: str, graph: str) -> float:
        """Rows per batch."""
        return self._mean("batch_size", model, graph)

    def mean_run_s(self, model: str, graph: str) -> float:
        """Time of a batch."""
        return self._mean("run_seconds", model, graph)

    def run_s(self, model: str, graph: str) -> float:
        """Time of all batches."""
        return self.values.get(("run_seconds_sum", graph, model), 0.0)

    def rows(self, model: str, graph: str) -> float:
        """Rows of all batches."""
        return self.values.get(("batch_size_sum", graph, model), 0.0)

    def _mean(self, name: str, model: str, graph: str) -> float:
        count = self.values.get((f"{name}_count", graph, model), 0.0)
        return self.values.get((f"{name}_sum", graph, model), 0.0) / count if count else 0.0
