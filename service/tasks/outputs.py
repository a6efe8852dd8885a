"""What a task answers with: tokens with the text they add, whole hypotheses."""

from collections.abc import Iterable
from dataclasses import dataclass

from service.bundle.tokenizer import Tokenizer
from service.tasks.decoding import Finish, Found, ScoredToken


@dataclass(frozen=True, slots=True)
class Token:
    """One token of output; the pieces of all tokens joined are the text."""

    id: int
    piece: str
    log_prob: float


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """One whole output."""

    text: str
    score: float
    tokens: tuple[Token, ...]
    finish: Finish


class TokenWriter:
    """Tokens of one output in turn, each with the piece of text that it adds."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._stream = tokenizer.text_stream()

    def write(self, tokens: Iterable[ScoredToken]) -> tuple[Token, ...]:
        """The next tokens."""
        return tuple(Token(token.id, self._stream.push(token.id), token.log_prob) for token in tokens)


def hypotheses_of(tokenizer: Tokenizer, found: Iterable[Found]) -> tuple[Hypothesis, ...]:
    """What a search found, as text."""
    return tuple(_hypothesis(tokenizer, each) for each in found)


def _hypothesis(tokenizer: Tokenizer, found: Found) -> Hypothesis:
    tokens = TokenWriter(tokenizer).write(found.tokens)
    return Hypothesis("".join(token.piece for token in tokens), found.score, tokens, found.finish)
