"""What a model has made of a text so far."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np

from service.bundle.manifest import GraphSpec
from service.step import NOTHING, Array, Arrays, Result


@dataclass(frozen=True, slots=True)
class Reading:
    """A value: reading on gives another one, and this one stays as it is.

    Contexts are kept as the pieces they came in and joined once, when text is written from them, so that a token costs
    the same however much was read before it.
    """

    state: Arrays
    pieces: tuple[Arrays, ...]
    outputs: Arrays
    """What the last step answered; nothing before the first."""
    num_tokens: int
    context_bytes: int = 0
    """Of all pieces together."""

    def then(self, result: Result, num_tokens: int) -> Self:
        """The reading after a step over `num_tokens` more tokens."""
        pieces = (*self.pieces, result.context) if result.context else self.pieces
        state = {**self.state, **result.state}
        # Outputs are views into the batch, which would live as long as the session.
        outputs = {name: array.copy() for name, array in result.outputs.items()}
        context_bytes = self.context_bytes + sum(array.nbytes for array in result.context.values())
        return type(self)(state, pieces, outputs, self.num_tokens + num_tokens, context_bytes)

    def context(self, ragged: Mapping[str, int]) -> Arrays:
        """All contexts, pieces joined along the axes that `ragged` names; the others are taken as they came last."""
        if len(self.pieces) <= 1:
            return self.pieces[0] if self.pieces else NOTHING
        return {name: self._joined(name, ragged) for name in self.pieces[-1]}

    def _joined(self, name: str, ragged: Mapping[str, int]) -> Array:
        if name not in ragged:
            return self.pieces[-1][name]
        return np.concatenate([piece[name] for piece in self.pieces], axis=ragged[name])


NOTHING_READ = Reading(NOTHING, (), NOTHING, 0)


def ragged_contexts(graph: GraphSpec) -> dict[str, int]:
    """Each context that a graph puts out → the axis along which its pieces are joined, counted without the batch."""
    contexts = [spec for spec in graph.outputs if spec.role == "context"]
    axes = {
        spec.name: [i for i, axis in enumerate(spec.axes[1:]) if isinstance(axis, str)] for spec in contexts
    }
    return {name: found[0] for name, found in axes.items() if found}
