"""What a session answers, and how answers are kept in the log of its turns."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from service.bundle.tokenizer import Tokenizer
from service.tasks.decoding import Found
from service.tasks.decoding.kept import found_from_json, found_to_json
from service.tasks.outputs import Hypothesis, Token, hypotheses_of
from service.tasks.said import NOTHING_SAID, Said

_as_json = json.JSONEncoder(separators=(",", ":")).encode
"""`json.dumps` would make an encoder for each answer."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a session says, with the positions and the turn that it belongs to."""

    input_position: int
    output_position: int
    said: Said = NOTHING_SAID
    tokens: tuple[Token, ...] = ()
    hypotheses: tuple[Hypothesis, ...] | None = None
    """The whole outputs, with the last answer of a generate only."""
    turn: int = 0


def digest_of(kind: str, *content: Any) -> str:
    """Tells requests apart by what they ask for; the content is JSON values."""
    return hashlib.blake2b(_as_json([kind, *content]).encode(), digest_size=16).hexdigest()


def to_log(answer: Answer, found: Sequence[Found] = ()) -> str:
    """The answer of a turn as JSON; of outputs, only what a model was needed for."""
    kept: dict[str, Any] = {"at": [answer.input_position, answer.output_position], **answer.said.to_json()}
    if found:
        kept["found"] = list(map(found_to_json, found))
    if answer.tokens or answer.hypotheses:  # of a feed that was written to: perhaps the end of an output only
        kept["tokens"] = [[token.id, token.piece, token.log_prob] for token in answer.tokens]
    return _as_json(kept)


def from_log(log: str, turn: int, tokenizer: Tokenizer | None) -> Answer:
    """The answer that was kept; tokens are those of the best output. A model that writes has a tokenizer."""
    kept = json.loads(log)
    found = [found_from_json(*each) for each in kept.get("found", ())]
    hypotheses = hypotheses_of(tokenizer, found) if tokenizer and found else None
    tokens = hypotheses[0].tokens if hypotheses else ()
    if "tokens" in kept:
        tokens = tuple(Token(*row) for row in kept["tokens"])
    input_position, output_position = kept["at"]
    return Answer(input_position, output_position, Said.from_json(kept), tokens, hypotheses, turn)
