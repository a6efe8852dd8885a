"""What the scheduler asks of an engine."""

from collections.abc import Sequence
from typing import Protocol

from service.bundle.manifest import Manifest
from service.step import Result, Step


class Engine(Protocol):
    """Runs batches of one model. Called by one thread at a time.

    Running is pure: steps are values, so a batch that failed may be run again in parts.
    """

    @property
    def manifest(self) -> Manifest:
        """The graphs that it runs."""
        ...

    def run(self, graph: str, steps: Sequence[Step]) -> list[Result]:
        """Run the steps as one batch, results in their order; StepFailed where one of them cannot be run."""
        ...

    def warm_up(self) -> None:
        """Run every graph once, so that the first request does not pay for it."""
        ...

    def close(self) -> None:
        """Give back what it holds."""
        ...
