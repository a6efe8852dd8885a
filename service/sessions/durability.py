"""When a session's snapshot has to be in the store: the client's choice."""

from dataclasses import dataclass
from enum import Enum


class Mode(Enum):
    """The three choices."""

    NONE = "none"
    """Never: the session ends with its server."""
    EVERY_N_STEPS = "every n steps"
    """Written behind, at the latest so many steps after the last one."""
    EVERY_STEP = "every step"
    """Before each answer leaves."""


@dataclass(frozen=True, slots=True)
class Durability:
    """A choice; `num_steps` counts where the mode is EVERY_N_STEPS."""

    mode: Mode = Mode.NONE
    num_steps: int = 0

    def is_due(self, num_unsaved: int) -> bool:
        """Whether a snapshot has to be written after so many steps."""
        if self.mode is Mode.NONE:
            return False
        return num_unsaved >= (self.num_steps if self.mode is Mode.EVERY_N_STEPS else 1)


NEVER = Durability()
