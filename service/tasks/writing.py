"""Writing an output that can be gone on with: the text is read to its end, then a search runs."""

from collections.abc import Sequence
from typing import Any

from service.scheduler import Mailbox
from service.sessions import Standing, Unfinished
from service.tasks.decoding import DecodingOptions, Found, ScoredToken, search_from
from service.tasks.intake import Taken
from service.tasks.jobs import Program
from service.tasks.kind import Writes


class Writing:
    """Runs a search and shows it in `unfinished`, so that whoever looks there can go on from between any two steps."""

    def __init__(self, kind: Writes, options: DecodingOptions, unfinished: Unfinished) -> None:
        self._kind = kind
        self._options = options
        self._unfinished = unfinished
        self._search = search_from(unfinished.search, options) if unfinished.search else None
        self.written: Sequence[ScoredToken] = self._written_before()
        """Tokens that were certain before it was gone on with."""

    def program(self, standing: Standing, rest: Taken, sink: Mailbox[Any] | None) -> Program[list[Found]]:
        """Puts the tokens after `written` into the sink."""
        if self._search is None:
            self._search = yield from self._kind.begin(standing, rest, self._options)
        self._unfinished.search = self._search
        return (yield from self._search.program(sink))

    def follow(self, items: Sequence[Any]) -> None:
        """Take note of what came out of the sink."""
        if self._search is not None:
            self._search.follow(items)

    def stop(self) -> None:
        """Leave a checkpoint that no longer changes, however far a step that is under way still comes."""
        if self._search is not None:
            self._unfinished.search = self._search.checkpoint()

    def _written_before(self) -> Sequence[ScoredToken]:
        if self._search is None:
            return ()
        return self._search.found[0].tokens if self._search.found else self._search.written()
