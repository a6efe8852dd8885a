"""Chat: a dialogue that is one text, in which EOS ends each turn; the session's state is all that was said."""

from collections.abc import Sequence

from service.errors import NotPossible
from service.sessions import Standing
from service.tasks.decoding import Finish, Found, Search
from service.tasks.intake import Taken
from service.tasks.jobs import Program
from service.tasks.language import LanguageKind


class Chatter(LanguageKind):
    """What is fed is the user's turn, what is written is the reply; each costs its own tokens and its EOS."""

    takes_turns = True

    def check_begun(self, standing: Standing, rest: Taken) -> None:
        """NotPossible where nothing was said since the last reply."""
        num_fed = int((standing.pending or {}).get("num_fed", 0))
        if num_fed == 0 and len(rest) <= 1:
            raise NotPossible("nothing was said since the last reply; feed some text, then generate")

    def wrote(
        self, standing: Standing, rest: Taken, search: Search, found: Sequence[Found]
    ) -> Program[Standing]:
        """After the reply; one that was cut short is ended before the next turn."""
        best = found[0]
        return (yield from self._after(standing, rest, search, best, ends=best.finish is Finish.END))
