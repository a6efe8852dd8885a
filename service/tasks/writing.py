"""Writing an output that can be gone on with: the text is read to its end, then a search runs."""

from collections.abc import Callable, Sequence
from typing import Any

from service.scheduler import Mailbox
from service.sessions import Unfinished
from service.tasks.decoding import Found, Plan, ScoredToken, Search, search_from
from service.tasks.jobs import Program


class Writing:
    """Runs a search and shows it in `unfinished`, so that whoever looks there can go on from between any two steps."""

    def __init__(self, plan: Plan, unfinished: Unfinished) -> None:
        self._unfinished = unfinished
        self._search = search_from(unfinished.search, plan) if unfinished.search else None
        self.written: Sequence[ScoredToken] = self._written_before()
        """Tokens that were certain before it was gone on with."""
        self._num_told = len(self.written)

    def program(
        self, begin: Callable[[], Program[Search]], sink: Mailbox[Any] | None
    ) -> Program[list[Found]]:
        """Tells the sink of what comes after `written`; `begin` is run where nothing was begun before."""
        if self._search is None:
            self._search = yield from begin()
        self._unfinished.search = self._search
        return (yield from self._search.program(sink))

    def follow(self, items: Sequence[Any], found: Sequence[Found] | None) -> Sequence[ScoredToken]:
        """Take note of what came out of the sink; the tokens of the best output that nobody was told of yet."""
        if self._search is None:
            return ()
        tokens = self._search.follow(items)
        if found is not None:
            tokens = found[0].tokens[self._num_told :]
        self._num_told += len(tokens)
        return tokens

    @property
    def search(self) -> Search:
        """What runs, once it was begun."""
        assert self._search is not None
        return self._search

    def stop(self) -> None:
        """Leave a checkpoint that no longer changes, however far a step that is under way still comes."""
        if self._search is not None:
            self._unfinished.search = self._search.checkpoint()

    def _written_before(self) -> Sequence[ScoredToken]:
        """Of a search that is over, nothing: all of it comes with its end."""
        return () if self._search is None or self._search.found else self._search.written()
