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
from service.tasks.decoding.options import DecodingOptions
from service.tasks.jobs import Program


class Search(Protocol):
    """Looks for the best outputs, and can be stopped between any two steps and gone on with elsewhere.

    Its program runs on the scheduler's thread and puts tokens of the output into the sink as they become certain: a
    beam of 1 is certain of each as it is chosen, a larger one of all of them when the search has ended. Whoever takes
    them out tells the search with `follow`. The other methods may be called on that side at any time.
    """

    found: list[Found] | None
    """The best outputs, best first, once the search is over; of a search that is followed, what is known here."""

    def program(self, sink: Mailbox[Any] | None) -> Program[list[Found]]:
        """Search to the end; the best outputs, best first."""
        ...

    def follow(self, items: Sequence[Any]) -> None:
        """Take note of what has come out of the sink."""
        ...

    def written(self) -> Sequence[ScoredToken]:
        """All tokens that are certain, of a search that is not over."""
        ...

    def checkpoint(self) -> Self:
        """A search that goes on from here, whatever becomes of this one; cheap."""
        ...

    def to_plain(self) -> Plain: ...

    @classmethod
    def from_plain(cls, plain: Plain, options: DecodingOptions) -> Self:
        """The search that goes on from where `to_plain` was called, bit for bit, with the same options."""
        ...


SEARCHES: dict[str, type[Search]] = {"greedy": GreedySearch, "beam": BeamSearch}


def new_search(state: Arrays, context: Arrays, options: DecodingOptions) -> Search:
    """The search that the options ask for."""
    return (GreedySearch if options.beam_size == 1 else BeamSearch)(state, context, options)


def search_from(saved: HasPlain, options: DecodingOptions) -> Search:
    """A search that goes on from a search in this process, or from one that a snapshot brought."""
    if isinstance(saved, GreedySearch | BeamSearch):
        return saved.checkpoint()
    plain = saved.to_plain()
    kind = plain.facts.get("kind")
    if kind not in SEARCHES:
        raise SnapshotRefused(f"no search is called {kind!r}; there are: {', '.join(SEARCHES)}")
    return SEARCHES[kind].from_plain(plain, options)
