"""A look inside a model: what its gates and cells were, input by input."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Self

import numpy as np

from service.bundle.manifest import TRACE, GraphSpec, Manifest
from service.errors import InvalidInput, NotPossible
from service.step import Arrays
from service.tasks.said import Trace

MAX_UNIT = 4095
DEFAULT_UNITS = tuple(range(16))


class Look(NamedTuple):
    """Which traces of which units."""

    names: tuple[str, ...]
    units: tuple[int, ...]

    @classmethod
    def of(cls, manifest: Manifest, graph: str, names: Sequence[str], units: Sequence[int]) -> Self:
        """At these tensors of a graph (none: all) and these units (none: the first); NotPossible, InvalidInput."""
        known = names_of(manifest.graphs[graph])
        if not known:
            raise NotPossible(
                f"{manifest.name} was exported without traces; export it again with export.traces = true"
            )
        if unknown := [name for name in names if name not in known]:
            raise InvalidInput(
                f"{manifest.name} has no {unknown[0]!r} to look at; it has {', '.join(known)}",
                field="open.inspect.tensors",
            )
        if any(not 0 <= unit <= MAX_UNIT for unit in units):
            raise InvalidInput(f"units are numbered from 0 to {MAX_UNIT}", field="open.inspect.units")
        return cls(tuple(names) or known, tuple(dict.fromkeys(units)) or DEFAULT_UNITS)

    @property
    def outputs(self) -> tuple[str, ...]:
        """The graph's outputs."""
        return tuple(TRACE + name for name in self.names)

    @property
    def width(self) -> int:
        """How many units the graph has to tell, from the first."""
        return max(self.units) + 1

    def traces(self, outputs: Sequence[Arrays]) -> tuple[Trace, ...]:
        """What was seen over one or several steps; units that a layer does not have are left out."""
        return tuple(self._trace(name, outputs) for name in self.names) if outputs else ()

    def _trace(self, name: str, outputs: Sequence[Arrays]) -> Trace:
        values = np.concatenate([each[TRACE + name] for each in outputs])
        units = tuple(unit for unit in self.units if unit < values.shape[1])
        return Trace(name, units, values[:, units])

    def to_json(self) -> Any:
        """JSON values from which `from_json` makes it again."""
        return [list(self.names), list(self.units)]

    @classmethod
    def from_json(cls, kept: Any) -> Self:
        names, units = kept
        return cls(tuple(names), tuple(units))


def names_of(graph: GraphSpec) -> tuple[str, ...]:
    """What there is to look at in a graph, such as `encoder_f_0`: the forget gate of the first layer."""
    return tuple(name.removeprefix(TRACE) for name in graph.traces)
