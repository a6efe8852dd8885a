"""Stop texts: where an output ends because of what it says, and how much of it no stop text can take back."""

from collections.abc import Iterable, Sequence

from service.bundle.tokenizer import Tokenizer


class Stopper:
    """Watches the text of an output as it grows, token by token, for the first stop text that is complete.

    A stop text may begin and end within tokens; it lies behind the forced beginning of the output, if there is one.
    """

    def __init__(self, tokenizer: Tokenizer, stops: Sequence[str], num_forced: int = 0) -> None:
        self._stream = tokenizer.text_stream()
        self._stops = stops
        self._num_forced = num_forced
        self._begins = 0
        """From here on stop texts are looked for."""
        self._text = ""
        self._ends: list[int] = []
        """Of each token, in characters."""
        self.stopped_at: int | None = None
        """Where the stop text begins, in characters, once there is one."""

    def push(self, token: int) -> bool:
        """Take the next token; whether the output is over."""
        before = len(self._text)
        self._text += self._stream.push(token)
        self._ends.append(len(self._text))
        if len(self._ends) <= self._num_forced:
            self._begins = len(self._text)
            return False
        self.stopped_at = self._first(before)
        return self.stopped_at is not None

    def push_all(self, tokens: Iterable[int]) -> bool:
        """Take the next tokens; whether the output is over after the last of them."""
        return any([self.push(token) for token in tokens][-1:])

    @property
    def num_certain(self) -> int:
        """How many tokens end before anything that could become a stop text."""
        sure = len(self._text) - self._num_open()
        return sum(end <= sure for end in self._ends)

    def cut(self) -> tuple[int, int | None]:
        """What is left before the stop text: (tokens, characters of the last one where it is cut)."""
        assert self.stopped_at is not None
        whole = sum(end <= self.stopped_at for end in self._ends)
        rest = self.stopped_at - (self._ends[whole - 1] if whole else 0)
        return (whole + 1, rest) if rest else (whole, None)

    def _first(self, before: int) -> int | None:
        """Where the first stop text begins, of those that end after so many characters."""
        starts = (self._text.find(stop, max(self._begins, before - len(stop) + 1)) for stop in self._stops)
        return min((start for start in starts if start >= 0), default=None)

    def _num_open(self) -> int:
        """Characters at the end of the text that begin a stop text."""
        rest = self._text[self._begins :]
        return max(
            (num for stop in self._stops for num in range(len(stop)) if rest.endswith(stop[:num]) and num),
            default=0,
        )
