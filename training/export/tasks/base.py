"""What an export asks of every task."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic

from service.bundle.manifest import GraphSpec, Measure, Task
from service.bundle.transitions import Transitions
from service.bundle.words import Cut
from training.export.arithmetic import Arithmetic
from training.export.check import Array, Runner
from training.export.dev import Dev, DevBatch
from training.export.graph import Graph
from training.export.run import M, R, Run

Graphs = Mapping[str, tuple[Graph, GraphSpec]]
Runners = Mapping[str, Runner]

TWO_WAY = (
    "its encoder reads the text in both directions, so the last word bears on the first one's state; "
    "send whole texts, or train a model with a one-way encoder (encoder.bidirectional = false)"
)


@dataclass(frozen=True)
class Facts:
    """What a task knows of its bundle's manifest and card."""

    task: Task
    """What is served; several recipes may make models of one task."""
    why_not_streaming: str = ""
    """Empty where input can be fed piece by piece."""
    source_language: str = ""
    target_language: str = ""
    words: Cut = "marks"
    """How a text is cut into words, where they have a label each."""
    transitions: Transitions | None = None
    """Which label follows which, where a text's labels are chosen together."""
    keep_above: float = 0.5
    """Of a model that leaves words out: how probable it must be that a word stays."""
    simultaneous: bool = False
    """Whether it was trained to write while its source comes in."""
    measure: Measure = ""
    """Where it is not what the task is measured by."""
    taken: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """Graphs that are another bundle's → its name and version."""
    evaluate_options: str = ""
    """Of `seqserve evaluate`, for the command on the card."""
    on_dev: str = ""
    """For the card: what eight bits lose on dev, and what is wrong there."""


class Export(ABC, Generic[R, M]):
    """A run, seen by the exporter."""

    score_name: str
    """Of what `score` gives."""

    def __init__(self, run: Run[R, M]) -> None:
        self.run = run

    @abstractmethod
    def graphs(self, numbers: Arithmetic) -> Graphs:
        """All graphs by name, with the products of `numbers`."""

    @abstractmethod
    def check(self, runners: Runners, tolerance: float | None) -> float:
        """Mean difference from PyTorch; ExportRefused past the tolerance, or where a row depends on its batch."""

    @abstractmethod
    def facts(self, graphs: Graphs) -> Facts:
        """For the manifest and the card."""

    @abstractmethod
    def dev(self, root: Path) -> Dev:
        """At most `export.gate_examples`, evenly spaced; DataError where a file is missing or malformed."""

    @abstractmethod
    def row(self, given: Any) -> Array:
        """An input of dev as the graphs read it: ids [time] or features [time, dim]."""

    @abstractmethod
    def answer(self, runners: Runners, batch: DevBatch) -> list[Any]:
        """What the graphs make of each row, in the form of dev's references."""

    def settle(self, answers: Sequence[Any], references: Sequence[Any]) -> None:
        """Choose on dev what the manifest is to say; `score` and `facts` go by it from then on."""

    @abstractmethod
    def score(self, answers: Sequence[Any], references: Sequence[Any]) -> float:
        """Higher is better, in the unit of `export.max_loss`."""


def reads_on(graphs: Graphs, name: str) -> bool:
    """Whether this graph takes a state, and so goes on where an earlier piece of input ended."""
    _, spec = graphs[name]
    return any(tensor.role == "state" for tensor in spec.inputs)
