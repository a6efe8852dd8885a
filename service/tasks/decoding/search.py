"""What every search can do, and the choice between them."""

from collections.abc import Sequence
from typing import Any, Protocol, Self

from service.errors import SnapshotRefused
from service.scheduler import Mailbox
from service.sessions.plain import HasPlain, Plain
from service.step import Arrays
from service.tasks.decoding.beam import BeamSearch
from service.tasks.decoding.greedy import GreedySearch
from service.tasks.decoding.hypothesis import Found, ScoredToken
from service.tasks.decoding.plan import Plan
from service.tasks.jobs import Program


class Search(Protocol):
    """Looks for the best outputs, and can be stopped between any two steps and gone on with elsewhere.

    Its program runs on the scheduler's thread and puts into the sink what it chooses, or what has become certain.
    Whoever takes it out hands it to `follow`, and is told which tokens are certain now: they are the beginning of
    the best output. What is still missing at the end is in what was found. The other methods may be called on that
    side at any time.
    """

    found: list[Found] | None
    """The best outputs, best first, once the search is over; of a search that is followed, what is known here."""

    def program(self, sink: Mailbox[Any] | None) -> Program[list[Found]]:
        """Search to the end; the best outputs, best first."""
        ...

    def follow(self, items: Sequence[Any]) -> Sequence[ScoredToken]:
        """Take note of what has come out of the sink; the tokens that are certain since."""
        ...

    def written(self) -> Sequence[ScoredToken]:
        """All tokens that are certain, of a search that is not over."""
        ...

    def ended(self) -> Arrays | None:
        """Once the program is over: the state that has read all that was chosen but the last; None: it keeps none."""
        ...

    def checkpoint(self) -> Self:
        """A search that goes on from here, whatever becomes of this one; cheap."""
        ...

    def to_plain(self) -> Plain: ...

    @classmethod
    def from_plain(cls, plain: Plain, terms: Plan) -> Self:
        """The search that goes on from where `to_plain` was called, bit for bit, with the same plan."""
        ...


SEARCHES: dict[str, type[Search]] = {"greedy": GreedySearch, "beam": BeamSearch}


def new_search(state: Arrays, context: Arrays, plan: Plan) -> Search:
    """The search that the options ask for."""
    options = plan.options
    is_wide = options.beam_size > 1 or options.coverage_penalty > 0
    return (BeamSearch if is_wide else GreedySearch)(state, context, plan)


def search_from(saved: HasPlain, plan: Plan) -> Search:
    """A search that goes on from a search in this process, or from one that a snapshot brought."""
    if isinstance(saved, GreedySearch | BeamSearch):
        return saved.checkpoint()
    plain = saved.to_plain()
    kind = plain.facts.get("kind")
    if kind not in SEARCHES:
        raise SnapshotRefused(f"no search is called {kind!r}; there are: {', '.join(SEARCHES)}")
    return SEARCHES[kind].from_plain(plain, plan)
