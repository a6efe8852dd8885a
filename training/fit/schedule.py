"""The learning rate: linear warm-up, constant, cut on a plateau, and a linear fall to the end of the budget."""

from typing import Any

from training.config import TrainingSection


class Schedule:
    """Rate of each update, and the word on when dev has stopped improving."""

    def __init__(self, section: TrainingSection) -> None:
        self._section = section
        self._cut = 1.0
        self._best = float("inf")
        self._stale = 0

    def rate(self, step: int, spent: float) -> float:
        """Learning rate of update `step` (from 0) when the share `spent` of the budget is gone."""
        warm = min(1.0, (step + 1) / max(1, self._section.warmup_steps))
        return self._section.learning_rate * warm * self._cut * self._fall(spent)

    def judge(self, cost: float) -> bool:
        """Takes what dev cost, cuts the rate when it is time, says whether it is the least so far."""
        if cost < self._best:
            self._best, self._stale = cost, 0
            return True
        self._stale += 1
        if self._stale % self._section.plateau_patience == 0:
            self._cut *= self._section.plateau_factor
        return False

    @property
    def exhausted(self) -> bool:
        """Whether patience has run out."""
        return self._stale >= self._section.patience

    def state(self) -> dict[str, Any]:
        """Plain values for a checkpoint."""
        return {"cut": self._cut, "best": self._best, "stale": self._stale}

    def restore(self, state: dict[str, Any]) -> None:
        """Goes on from `state`."""
        self._cut, self._best, self._stale = float(state["cut"]), float(state["best"]), int(state["stale"])

    def _fall(self, spent: float) -> float:
        start, final = self._section.decay_start, self._section.final_rate
        if spent <= start:
            return 1.0
        done = min(1.0, (spent - start) / max(1e-9, 1.0 - start))
        return 1.0 - done * (1.0 - final)
