"""Which parts of a server work: one list, of which health, the metrics and the log tell the same."""

from collections.abc import Callable, Mapping

import structlog

from service.metrics import Metrics

Check = Callable[[], str]
"""Says why a part does not work, and nothing while it does. Asked every second; it must not wait for anything."""

log = structlog.get_logger("seqserve.parts")


class Parts:
    """The parts that can fail while the rest serves: `look` asks each of them, and tells what has changed.

    Their names are bounded: words of the code, and `name/version` of models in the repository.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._checks: dict[str, Check] = {}
        self._told: dict[str, str] = {}
        """Part → why it does not work, as it was told last."""

    def watch(self, name: str, check: Check) -> None:
        """Ask this part, too; it works until it is asked."""
        self._checks[name] = check
        self._told.setdefault(name, "")
        self._metrics.part_up.labels(name).set(1)

    def forget(self, name: str) -> None:
        """The part is there no more."""
        if self._checks.pop(name, None) is not None:
            del self._told[name]
            self._metrics.part_up.remove(name)

    @property
    def names(self) -> frozenset[str]:
        return frozenset(self._checks)

    @property
    def failing(self) -> Mapping[str, str]:
        """Part → why it does not work, at the last look."""
        return {name: why for name, why in self._told.items() if why}

    def look(self) -> dict[str, bool]:
        """Ask all; part → whether it works now, of those where that has changed."""
        changed: dict[str, bool] = {}
        for name, check in list(self._checks.items()):
            why = _asked(check)
            if bool(why) != bool(self._told[name]):
                changed[name] = not why
                self._tell(name, why)
            self._told[name] = why
        return changed

    def _tell(self, name: str, why: str) -> None:
        self._metrics.part_up.labels(name).set(0 if why else 1)
        if why:
            log.error("a part does not work", part=name, why=why)
        else:
            log.info("a part works again", part=name)


def _asked(check: Check) -> str:
    try:
        return check()
    except Exception as error:  # a part that cannot even be asked does not work
        return f"it cannot be asked: {error!r}"
