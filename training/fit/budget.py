"""How much of a run's time is gone."""

import time

from training.config import TrainingSection


class Budget:
    """Epochs, and minutes where the recipe limits them; minutes of a resumed run add up."""

    def __init__(self, section: TrainingSection) -> None:
        self._max_epochs = section.max_epochs
        self._max_minutes = section.max_minutes or float("inf")
        self._clock = time.monotonic()
        self.epochs = 0.0
        self.minutes = 0.0

    def tick(self, epochs: float) -> None:
        """Takes where the run stands, in epochs, and adds the minutes since the last tick."""
        now = time.monotonic()
        self.minutes += (now - self._clock) / 60
        self._clock, self.epochs = now, epochs

    @property
    def spent(self) -> float:
        """Share that is gone, of the epochs or of the minutes, whichever is more."""
        return min(1.0, max(self.epochs / self._max_epochs, self.minutes / self._max_minutes))

    @property
    def over(self) -> bool:
        """Whether nothing is left."""
        return self.spent >= 1.0
