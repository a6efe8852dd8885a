"""What a search finds, as tokens, and what an output is worth."""

from collections.abc import Iterable, Sequence
from enum import Enum
from typing import NamedTuple

import numpy as np

from service.sessions.plain import Plain
from service.step import Array, Arrays


class Finish(Enum):
    """Why an output ended."""

    END = "end"
    """The model ended the sentence."""
    LENGTH = "length"
    """max_length was reached."""
    STOP = "stop"
    """A stop text came."""


class ScoredToken(NamedTuple):
    """A token and its natural log-probability given what came before it, as the model has it."""

    id: int
    log_prob: float
    alternatives: tuple[tuple[int, float], ...] = ()
    """Other tokens with their log-probabilities, most probable first, where they were asked for."""
    attention: tuple[float, ...] = ()
    """How much it looked at each source token, where that was asked for."""


class Found(NamedTuple):
    """One whole output: its tokens without the end of the sentence, whose log-probability is in the score."""

    tokens: tuple[ScoredToken, ...]
    score: float
    finish: Finish
    last_chars: int | None = None
    """How many characters of the last token belong to the output, where a stop text began within it."""
    seed: int = 0
    """What it was drawn with, where it was drawn."""


def normalized(log_prob: float, num_steps: int, length_penalty: float) -> float:
    """log P(Y|X) / ((5 + |Y|) / 6)^α, where |Y| counts the end of the sentence (Wu et al. 2016, §7)."""
    return float(log_prob / ((5 + num_steps) / 6) ** length_penalty)


LEAST_COVERAGE = 1e-9
"""Of a source token that nothing looked at: its logarithm shall be a number."""


def covered(coverage: Array, penalty: float) -> float:
    """β Σ log(min(coverage, 1)) over `[source]`, each the sum of what all steps looked at it (Wu et al. 2016, §7)."""
    return penalty * float(np.log(np.clip(coverage.astype(np.float64), LEAST_COVERAGE, 1.0)).sum())


def total(tokens: Iterable[ScoredToken], repetition_penalty: float) -> float:
    """The sum of the log-probabilities, in their order; those of tokens that had come before are multiplied."""
    seen: set[int] = set()
    log_prob = 0.0
    for token in tokens:
        log_prob += token.log_prob * (repetition_penalty if token.id in seen else 1.0)
        seen.add(token.id)
    return log_prob


def tokens_to_plain(prefix: str, tokens: Sequence[ScoredToken]) -> Arrays:
    """Tokens as arrays; of alternatives and attention only where there are any."""
    arrays: dict[str, Array] = {
        f"{prefix}/ids": np.array([token.id for token in tokens], np.int64),
        f"{prefix}/log_probs": np.array([token.log_prob for token in tokens], np.float64),
    }
    if any(token.alternatives for token in tokens):
        num = max(len(token.alternatives) for token in tokens)
        filled = [[*token.alternatives, *[(-1, 0.0)] * (num - len(token.alternatives))] for token in tokens]
        table = np.array(filled, np.float64)
        arrays[f"{prefix}/alternatives"] = table
    if any(token.attention for token in tokens):
        arrays[f"{prefix}/attention"] = np.array([token.attention for token in tokens], np.float32)
    return arrays


def tokens_from_plain(prefix: str, arrays: Arrays) -> tuple[ScoredToken, ...]:
    """The tokens that `tokens_to_plain` made arrays of, bit for bit."""
    ids, log_probs = arrays[f"{prefix}/ids"].tolist(), arrays[f"{prefix}/log_probs"].tolist()
    alternatives = arrays.get(f"{prefix}/alternatives", np.zeros((len(ids), 0, 2))).tolist()
    attention = arrays.get(f"{prefix}/attention", np.zeros((len(ids), 0))).tolist()
    return tuple(
        ScoredToken(id, log_prob, tuple((int(i), p) for i, p in others if i >= 0), tuple(looks))
        for id, log_prob, others, looks in zip(ids, log_probs, alternatives, attention, strict=True)
    )


_FINISHES = (Finish.LENGTH, Finish.END, Finish.STOP)
_WHOLE = -1


def found_to_plain(prefix: str, found: Found) -> Arrays:
    """An output as arrays: its end is the score, why it ended, and how much of its last token belongs to it."""
    last_chars = _WHOLE if found.last_chars is None else found.last_chars
    end = np.array([found.score, _FINISHES.index(found.finish), last_chars], np.float64)
    return {
        **tokens_to_plain(prefix, found.tokens),
        f"{prefix}/end": end,
        f"{prefix}/seed": np.array(found.seed, np.uint64),
    }


def found_from_plain(prefix: str, arrays: Arrays) -> Found:
    """The output that `found_to_plain` made arrays of, here or in a version without stop texts and seeds."""
    score, finish, *rest = arrays[f"{prefix}/end"].tolist()
    last_chars = int(rest[0]) if rest and rest[0] != _WHOLE else None
    seed = int(arrays[f"{prefix}/seed"]) if f"{prefix}/seed" in arrays else 0
    return Found(tokens_from_plain(prefix, arrays), score, _FINISHES[int(finish)], last_chars, seed)


def all_to_plain(found: Sequence[Found] | None) -> dict[str, Array]:
    """What a search found, if it is over."""
    arrays: dict[str, Array] = {}
    for index, each in enumerate(found or ()):
        arrays |= found_to_plain(f"found/{index}", each)
    return arrays


def all_from_plain(plain: Plain) -> list[Found] | None:
    """What `all_to_plain` wrote down; the fact `found` says how many there are."""
    return [found_from_plain(f"found/{index}", plain.arrays) for index in range(plain.facts["found"])] or None
