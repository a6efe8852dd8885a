"""Which outputs of a graph are fetched: states and contexts always, others where a step of the batch wants them."""

from collections.abc import Iterable

from service.bundle.manifest import GraphSpec, TensorSpec
from service.errors import StepFailed
from service.step import Wanted


class Answers:
    """The choice for one graph, made once for each set of wishes."""

    def __init__(self, graph: str, spec: GraphSpec) -> None:
        self._graph = graph
        self._spec = spec
        self._known: dict[frozenset[Wanted], tuple[TensorSpec, ...]] = {}

    def to(self, wishes: Iterable[Wanted]) -> tuple[TensorSpec, ...]:
        """The outputs in the manifest's order; StepFailed where a step wants one that the graph does not give."""
        key = frozenset(wishes)
        if (known := self._known.get(key)) is None:
            known = self._known[key] = self._chosen(key)
        return known

    def _chosen(self, wishes: frozenset[Wanted]) -> tuple[TensorSpec, ...]:
        given = {t.name for t in self._spec.outputs if t.role == "output"}
        wanted = {name for names in wishes for name in (given if names is None else names)}
        if unknown := wanted - given:
            raise StepFailed(
                f"graph {self._graph} gives no output {', '.join(map(repr, sorted(unknown)))}; "
                f"it gives {', '.join(sorted(given))}"
            )
        return tuple(t for t in self._spec.outputs if t.role != "output" or t.name in wanted)
