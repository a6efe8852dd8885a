"""What a task makes of a session: how input is read, what is said to it, and what is written from it."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol, runtime_checkable

from service.registry import Served
from service.sessions import Reading, Standing
from service.sessions.session import Pending
from service.step import Arrays
from service.tasks.decoding import Found, Plan, ScoredToken, Search
from service.tasks.intake import Intake, Taken
from service.tasks.jobs import Program
from service.tasks.reader import Reads
from service.tasks.said import Said


class Kind(Protocol):
    """Of one served model; it holds no session's state."""

    @property
    def served(self) -> Served: ...

    @property
    def reader(self) -> Reads: ...

    @property
    def max_inputs(self) -> int | None:
        """Most inputs of one text; None: it may go on for ever."""
        ...

    def intake(self, pending: Pending | None) -> Intake:
        """What takes the next feed of a session in which this is held back."""
        ...

    def say(
        self, taken: Taken, outputs: Sequence[Arrays], reading: Reading, pending: Pending | None
    ) -> tuple[Said, Pending | None]:
        """What is said to what was taken, and what is held back from now on.

        `outputs` are those of each step over it, `reading` is all that was read, `pending` what the intake holds back.
        """
        ...


@runtime_checkable
class Writes(Kind, Protocol):
    """Of a model that writes text."""

    def begin(self, standing: Standing, rest: Taken, plan: Plan) -> Program[Search]:
        """Read the `rest`, with which the input ends; the search for what follows."""
        ...

    def check_begun(self, standing: Standing, rest: Taken) -> None:
        """NotPossible where there is nothing to write from."""
        ...

    def first(self, rest: Taken) -> int:
        """The token that the search begins with, when the `rest` is read."""
        ...

    def wrote(
        self, standing: Standing, rest: Taken, search: Search, found: Sequence[Found]
    ) -> Program[Standing]:
        """Where a session stands once the rest was read and the search has found the outputs, best first."""
        ...


class Followed(NamedTuple):
    """What was written to what was read."""

    standing: Standing
    before: tuple[ScoredToken, ...]
    """What of this output was written before."""
    fresh: tuple[ScoredToken, ...]
    found: Found | None
    """The whole output, once its text has ended."""


@runtime_checkable
class Follows(Kind, Protocol):
    """Of a session that writes while it reads."""

    def follow(self, standing: Standing, taken: Taken, ends: bool) -> Program[Followed]:
        """Write what may be written now that `taken` was read, after which the session stands there."""
        ...
