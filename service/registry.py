"""What is served: name and version → bundle, engine and scheduler."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from service.bundle import Bundle
from service.bundle.manifest import Manifest, Task
from service.engine import Engine
from service.scheduler import Scheduler


@dataclass(frozen=True)
class Served:
    """A model version that answers."""

    bundle: Bundle
    engine: Engine
    scheduler: Scheduler

    @property
    def manifest(self) -> Manifest:
        """What it is."""
        return self.bundle.manifest


class Registry:
    """Finds models by name, version, task and languages. The server hands in what makes a bundle served."""

    refused: dict[str, str]
    """`<name>/<version>` → why it is not served."""

    def __init__(self, make: Callable[[Bundle], Served]) -> None:
        raise NotImplementedError

    def load_all(self, repository: Path) -> None:
        """Serve every `<name>/<version>` of the folder; what is refused is kept in `refused`, the others serve."""
        raise NotImplementedError

    def find(
        self,
        name: str = "",
        version: str = "",
        *,
        task: Task | None = None,
        source_language: str = "",
        target_language: str = "",
    ) -> Served:
        """Return the newest version that fits; ModelNotFound lists what there is, InvalidInput an open choice."""
        raise NotImplementedError

    def all(self) -> list[Served]:
        """All served versions, by name, the newest of each first."""
        raise NotImplementedError

    def drain(self, timeout: float) -> bool:
        """Drain all schedulers within `timeout` seconds together; blocks. Whether all ended by themselves."""
        raise NotImplementedError

    def close(self) -> None:
        """End all schedulers and engines."""
        raise NotImplementedError
