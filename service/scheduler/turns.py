"""Whose turn it is: texts that are to be read, or sequences that are being written.

Reading a text takes as long as many steps of writing. So that those who write do not wait for every text that comes,
reading gets four fifths of the time at most while somebody writes, in portions about as long as four steps of writing;
in larger ones where many wait beside few who write, since texts are read faster together. After texts that are all of
lower priority than one who writes, it is the other way round: writing gets four fifths.
"""

READING_SHARE = 0.8
"""Of the time, while somebody writes."""
FORGETTING = 0.1
"""Weight of the newest measurement in a mean."""


class Turns:
    """Divides the time by what was used of it."""

    def __init__(self) -> None:
        self._owed_s = 0.0
        """How long writing may go on before it is reading's turn again."""
        self._roll_s = 0.0
        self._s_per_token: dict[str, float] = {}
        """Graph → seconds for a padded token."""

    def is_for_rollouts(self, num_rolling: int, num_waiting: int) -> bool:
        """Whether the next turn is for those who write."""
        if not num_rolling or not num_waiting:
            return num_rolling > 0
        return self._owed_s > 0

    def max_tokens(self, graph: str, num_waiting: int, num_rolling: int) -> float:
        """Padded tokens that may be read in one batch."""
        if not num_rolling or graph not in self._s_per_token:
            return float("inf")
        portion_s = self._roll_s * READING_SHARE / (1 - READING_SHARE)
        return portion_s * (1 + 2 * num_waiting / num_rolling) / self._s_per_token[graph]

    def rolled(self, seconds: float) -> None:
        """A step of writing took so long."""
        self._roll_s += (seconds - self._roll_s) * (FORGETTING if self._roll_s else 1.0)
        self._owed_s = max(0.0, self._owed_s - seconds)

    def ran(self, graph: str, num_tokens: int, seconds: float, *, outranked: bool = False) -> None:
        """A batch of so many padded tokens took so long; `outranked`: somebody who writes is of higher priority."""
        each, mean = seconds / num_tokens, self._s_per_token.get(graph, 0.0)
        self._s_per_token[graph] = mean + (each - mean) * (FORGETTING if mean else 1.0)
        share = 1 - READING_SHARE if outranked else READING_SHARE
        self._owed_s = seconds * (1 - share) / share
