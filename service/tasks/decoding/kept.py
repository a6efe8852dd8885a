"""An output as JSON, as it is kept in the log of a session's turns: only what a model was needed for."""

import base64
from typing import Any

import numpy as np

from service.tasks.decoding.hypothesis import Finish, Found, ScoredToken


def found_to_json(found: Found) -> list[Any]:
    """Ids, log-probabilities, score, why it ended; then, where there is any of it, the rest by name."""
    rest: dict[str, Any] = {}
    if found.last_chars is not None:
        rest["last_chars"] = found.last_chars
    if found.seed:
        rest["seed"] = found.seed
    if any(token.alternatives for token in found.tokens):
        rest["alternatives"] = [token.alternatives for token in found.tokens]
    if any(token.attention for token in found.tokens):
        attention = np.array([token.attention for token in found.tokens], "<f4")
        rest["attention"] = base64.b64encode(attention.tobytes()).decode()
    ids, log_probs = [token.id for token in found.tokens], [token.log_prob for token in found.tokens]
    return [ids, log_probs, found.score, found.finish.value, *([rest] if rest else [])]


def found_from_json(
    ids: list[int], log_probs: list[float], score: float, finish: str, rest: dict[str, Any] | None = None
) -> Found:
    """The output that `found_to_json` wrote, bit for bit."""
    rest = rest or {}
    alternatives = rest.get("alternatives", [[]] * len(ids))
    looked = np.frombuffer(base64.b64decode(rest.get("attention", "")), "<f4")
    attention = looked.reshape(len(ids), -1).tolist() if len(ids) else []
    tokens = tuple(
        ScoredToken(token, log_prob, tuple((int(i), p) for i, p in others), tuple(looks))
        for token, log_prob, others, looks in zip(ids, log_probs, alternatives, attention, strict=True)
    )
    return Found(tokens, score, Finish(finish), rest.get("last_chars"), rest.get("seed", 0))
