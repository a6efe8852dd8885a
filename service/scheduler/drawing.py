"""Drawing tokens by their probabilities, many rows at once.

A draw needs one number between 0 and 1, and that depends on the seed and on the place in the output alone: nothing is
kept between steps, so it is the same alone and in a batch, after a resume, on another server. All sums run along a
row from its left, so zeros at its right end, which come with the wishes of other rows, change nothing.
"""

import numpy as np

from service.step import Array

_STEP = np.uint64(0x9E3779B97F4A7C15)
_TO_UNIT = 2.0**-53


def uniforms(seeds: Array, places: Array) -> Array:
    """Numbers in [0, 1), `[batch]` float64, for unsigned seeds and places of 64 bits.

    The place-th output of SplitMix64 (Steele, Lea and Flood 2014, section 5) whose state is the mixed seed.
    """
    states = _mixed(seeds.astype(np.uint64)) + (places.astype(np.uint64) + np.uint64(1)) * _STEP
    numbers: Array = (_mixed(states) >> np.uint64(11)).astype(np.float64) * _TO_UNIT
    return numbers


def _mixed(z: Array) -> Array:
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: Array = z ^ (z >> np.uint64(31))
    return mixed


def drawn_from_best(log_probs: Array, topk: Array, topp: Array, temperature: Array, uniform: Array) -> Array:
    """One column of `[batch, width]`, best first, for each row; what is -inf may not be drawn, and does not count."""
    may = log_probs > -np.inf
    all_weights = _weights(log_probs.astype(np.float64), temperature)
    weights = np.where(may & (np.cumsum(may, axis=1) <= topk[:, None]), all_weights, 0.0)
    sums = np.cumsum(weights, axis=1)
    before = np.concatenate([np.zeros((len(sums), 1)), sums[:, :-1]], axis=1)
    return _pick(np.where(before < (topp * sums[:, -1])[:, None], weights, 0.0), uniform)


def drawn_from_all(log_probs: Array, topp: Array, temperature: Array, uniform: Array) -> Array:
    """One column of `[batch, all]`, in any order, for each row; a tie with the last of the set belongs to it."""
    weights = _weights(log_probs.astype(np.float32, copy=False), temperature.astype(np.float32))
    some = np.flatnonzero(topp < 1)
    if len(some):
        ranked = np.sort(weights[some], axis=1)[:, ::-1]
        sums = np.cumsum(ranked, axis=1, dtype=np.float64)
        last = (sums < (topp[some] * sums[:, -1])[:, None]).sum(axis=1)
        least = np.take_along_axis(ranked, np.minimum(last, ranked.shape[1] - 1)[:, None], axis=1)
        weights[some] = np.where(weights[some] >= least, weights[some], 0.0)
    return _pick(weights, uniform)


def best_of(log_probs: Array, num: int) -> Array:
    """The columns of the `num` largest of one row, largest first, of equal ones the first."""
    if num >= len(log_probs):
        return np.argsort(-log_probs, kind="stable")
    least = np.partition(log_probs, len(log_probs) - num)[len(log_probs) - num]
    some = np.flatnonzero(log_probs >= least)
    best: Array = some[np.argsort(-log_probs[some], kind="stable")[:num]]
    return best


def _weights(log_probs: Array, temperature: Array) -> Array:
    """Numbers in proportion to the probabilities at a temperature; the largest of a row is 1."""
    scaled = log_probs - log_probs.max(axis=1, keepdims=True)
    scaled /= temperature[:, None]
    weights: Array = np.exp(scaled, out=scaled)
    return weights


def _pick(weights: Array, uniform: Array) -> Array:
    """The column in which the sum of the weights passes its share of the whole."""
    sums = np.cumsum(weights, axis=1, dtype=np.float64)
    whole = sums[:, -1]
    share = np.minimum(uniform * whole, np.nextafter(whole, 0))
    picked: Array = (sums <= share[:, None]).sum(axis=1)
    return picked
