"""What every search can do, and the choice between them."""

from collections.abc import Sequence
from typing import Protocol, Self

from service.errors import SnapshotRefused
from service.sessions.plain import HasPlain, Plain
from service.step import Arrays, Result, Step
from service.tasks.decoding.beam import BeamSearch
from service.tasks.decoding.greedy import GreedySearch
from service.tasks.decoding.hypothesis import Found, ScoredToken
from service.tasks.decoding.options import DecodingOptions
from service.tasks.jobs import Emit, Program


class Search(Protocol):
    """Looks for the best outputs, step by step, and can be stopped between any two steps and gone on with elsewhere.

    One thread steps it; `written`, `checkpoint` and `to_plain` may be called from any other meanwhile, and tell of the
    moment after some step.
    """

    found: list[Found] | None
    """The best outputs, best first, once the search is over."""

    def steps(self) -> Sequence[Step]:
        """What has to run next."""
        ...

    def advance(self, results: Sequence[Result]) -> Sequence[ScoredToken]:
        """Take the results of the steps; return the tokens of the output that have become certain.

        A beam of 1 is certain of each token as it is chosen, a larger one of all of them when the search has ended.
        """
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


def running(search: Search, emit: Emit[ScoredToken]) -> Program[list[Found]]:
    """Run a search to its end; the best outputs, best first."""
    while search.found is None:
        for token in search.advance((yield search.steps())):
            emit(token)
    return search.found


def search(
    state: Arrays, context: Arrays, options: DecodingOptions, emit: Emit[ScoredToken]
) -> Program[list[Found]]:
    """Search from the beginning; the best outputs, best first."""
    return running(new_search(state, context, options), emit)
