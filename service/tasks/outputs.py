"""What a task answers with: tokens with the text they add, whole hypotheses."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from service.bundle.tokenizer import UNK, Tokenizer
from service.tasks.decoding import Finish, Found, ScoredToken


@dataclass(frozen=True, slots=True)
class Alternative:
    """A token that was not written, and what it would have added to the text."""

    id: int
    piece: str
    log_prob: float


@dataclass(frozen=True, slots=True)
class Token:
    """One token of output; the pieces of all tokens joined are the text."""

    id: int
    piece: str
    log_prob: float
    attention: tuple[float, ...] = ()
    """How much it looked at each source token."""
    alternatives: tuple[Alternative, ...] = ()
    """Most probable first."""


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """One whole output."""

    text: str
    score: float
    tokens: tuple[Token, ...]
    finish: Finish
    seed: int = 0
    """What it was drawn with, where it was drawn."""


class TokenWriter:
    """Tokens of one output in turn, each with the piece of text that it adds.

    Given the words of the source, one for each of its tokens, it writes in place of an unknown token the word that was
    looked at most (Jean et al. 2015, section 4).
    """

    def __init__(self, tokenizer: Tokenizer, source_words: Sequence[str] = ()) -> None:
        self._stream = tokenizer.text_stream()
        self._source_words = source_words

    def write(self, tokens: Sequence[ScoredToken], last_chars: int | None = None) -> tuple[Token, ...]:
        """The next tokens; of the last one only so many characters."""
        written = tuple(map(self._token, tokens))
        if last_chars is None:
            return written
        last = written[-1]
        cut = Token(last.id, last.piece[:last_chars], last.log_prob, last.attention, last.alternatives)
        return (*written[:-1], cut)

    def _token(self, token: ScoredToken) -> Token:
        alternatives = tuple(
            Alternative(other, self._stream.peek(other), log_prob) for other, log_prob in token.alternatives
        )
        return Token(token.id, self._piece(token), token.log_prob, token.attention, alternatives)

    def _piece(self, token: ScoredToken) -> str:
        looks = [
            (look, word) for look, word in zip(token.attention, self._source_words, strict=False) if word
        ]
        if token.id == UNK and looks:
            return self._stream.push_word(max(looks)[1])
        return self._stream.push(token.id)


def hypotheses_of(
    tokenizer: Tokenizer, found: Iterable[Found], source_words: Sequence[str] = ()
) -> tuple[Hypothesis, ...]:
    """What a search found, as text."""
    return tuple(_hypothesis(TokenWriter(tokenizer, source_words), each) for each in found)


def _hypothesis(writer: TokenWriter, found: Found) -> Hypothesis:
    tokens = writer.write(found.tokens, found.last_chars)
    text = "".join(token.piece for token in tokens)
    return Hypothesis(text, found.score, tokens, found.finish, found.seed)
