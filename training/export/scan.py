"""The loop over positions, in nodes: one `Scan`, with as many sequences in it as there are ways through the text."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from training.export.arithmetic import Arithmetic
from training.export.cells import Cell
from training.export.graph import Graph, Value


@dataclass(frozen=True)
class Way:
    """One direction of a layer: what its cell carries from step to step, and what comes in at each."""

    cell: Cell
    start: Sequence[Value]
    """What is carried into the first step: the factor of h where the cell has a product, and what it keeps."""
    given: Sequence[Value]
    """What the cell makes of its inputs beforehand: [time, batch, ·] each."""
    mask: Value | None = None
    """Where it is 0 the state is zero: [time, batch, 1]."""
    num_emitted: int = 1
    """How many of the tensors that it carries are wanted at every position."""

    @property
    def scanned(self) -> list[Value]:
        return [*self.given] if self.mask is None else [*self.given, self.mask]

    def dtypes(self, numbers: Arithmetic) -> list[str]:
        """Of what is carried."""
        return [numbers.element] * self.cell.has_product + ["float32"] * self.cell.num_kept

    def step(
        self, body: Graph, numbers: Arithmetic, before: Sequence[Value], now: Sequence[Value]
    ) -> list[Value]:
        """What is carried to the next step."""
        cell, mask = self.cell, now[-1] if self.mask else None
        if not cell.has_product:
            return cell.step(body, numbers, now, None, before, mask)[1]
        hidden, kept = cell.step(body, numbers, now, numbers.held(before[0]), before[1:], mask)
        return [numbers.bounded(body, hidden).value, *kept]


class Loop:
    """One `Scan`."""

    def __init__(self, graph: Graph, numbers: Arithmetic, hidden: int) -> None:
        self._graph, self._numbers, self._hidden = graph, numbers, hidden
        self._ways: list[Way] = []

    def add(self, way: Way) -> None:
        """One more; the first runs forward, the next backward."""
        self._ways.append(way)

    def run(self) -> list[tuple[list[Value], list[Value]]]:
        """For each way what it emitted [time, batch, ·], and what it carried at the end; h or its factor first."""
        body, ways = self._graph.body("scan"), self._ways
        before = [self._carried(body, way) for way in ways]
        now = [
            [body.input(body.fresh("now"), "float32", ["batch", "size"]) for _ in way.scanned] for way in ways
        ]
        after = [way.step(body, self._numbers, *each) for way, *each in zip(ways, before, now, strict=True)]
        emitted = [tensors[: way.num_emitted] for way, tensors in zip(ways, after, strict=True)]
        for way, tensors in (*zip(ways, after, strict=True), *zip(ways, emitted, strict=True)):
            self._declare(body, way, tensors)
        found = iter(
            self._graph.split(
                "Scan",
                *(value for way in ways for value in way.start),
                *(value for way in ways for value in way.scanned),
                outputs=sum(map(len, (*after, *emitted))),
                body=body.proto(),
                num_scan_inputs=sum(len(way.scanned) for way in ways),
                scan_input_directions=[back for back, way in enumerate(ways) for _ in way.scanned],
                scan_output_directions=[back for back, tensors in enumerate(emitted) for _ in tensors],
            )
        )
        last = [list(islice(found, len(tensors))) for tensors in after]
        return [
            (list(islice(found, len(tensors))), ends) for tensors, ends in zip(emitted, last, strict=True)
        ]

    def _carried(self, body: Graph, way: Way) -> list[Value]:
        dtypes = way.dtypes(self._numbers)
        return [body.input(body.fresh("before"), dtype, ["batch", self._hidden]) for dtype in dtypes]

    def _declare(self, body: Graph, way: Way, tensors: Sequence[Value]) -> None:
        for tensor, dtype in zip(tensors, way.dtypes(self._numbers), strict=False):
            body.output(tensor, body.fresh("after"), dtype, ["batch", self._hidden])
