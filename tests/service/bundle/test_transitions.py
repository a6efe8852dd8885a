"""Labels chosen together are the best of all that could be, and their probabilities are true: everything is tried."""

import itertools
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.bundle.transitions import Array, Transitions, best_labels, label_probabilities
from service.errors import InvalidInput

NUM_LABELS = 3
numbers = st.integers(0, 2**32 - 1)


def drawn(seed: int, num_words: int) -> tuple[Transitions, Array]:
    rng = np.random.default_rng(seed)
    first, last = rng.normal(size=(2, NUM_LABELS)) * 2
    scores = np.log(rng.dirichlet(np.ones(NUM_LABELS), num_words)).astype(np.float32)
    return Transitions(first, rng.normal(size=(NUM_LABELS, NUM_LABELS)) * 2, last), scores


def score(chain: Transitions, scores: Array, labels: tuple[int, ...]) -> float:
    own = sum(float(scores[t, label]) for t, label in enumerate(labels))
    steps = sum(float(chain.between[pair]) for pair in itertools.pairwise(labels))
    return own + steps + float(chain.first[labels[0]] + chain.last[labels[-1]])


@given(numbers, st.integers(1, 5))
def test_labels_are_the_best_and_probabilities_add_up_over_all_others(seed: int, num_words: int) -> None:
    chain, scores = drawn(seed, num_words)
    every = {
        labels: score(chain, scores, labels)
        for labels in itertools.product(range(NUM_LABELS), repeat=num_words)
    }
    assert score(chain, scores, tuple(chain.best(scores))) == pytest.approx(max(every.values()))
    expected = np.zeros((num_words, NUM_LABELS))
    for labels, each in every.items():
        expected[range(num_words), labels] += np.exp(each)
    assert chain.probabilities(scores) == pytest.approx(expected / expected.sum(axis=1, keepdims=True))


def test_long_and_lopsided_texts_have_probabilities_too() -> None:
    chain, scores = drawn(0, 2000)
    scores[::7] = [-300.0, -200.0, -0.0]
    probabilities = chain.probabilities(scores)
    assert np.isfinite(probabilities).all()
    assert probabilities.sum(axis=1) == pytest.approx(1)
    assert len(chain.best(scores)) == 2000


def test_without_a_chain_each_word_is_labelled_by_itself() -> None:
    _, scores = drawn(1, 4)
    assert best_labels(scores, None) == scores.argmax(axis=1).tolist()
    assert label_probabilities(scores, None) == pytest.approx(np.exp(scores))


def test_no_words_have_no_labels() -> None:
    chain, scores = drawn(0, 1)
    assert chain.best(scores[:0]) == []
    assert chain.probabilities(scores[:0]).shape == (0, NUM_LABELS)


def test_a_file_brings_them_back() -> None:
    chain, scores = drawn(2, 9)
    again = Transitions.from_json(chain.to_json(), NUM_LABELS)
    assert again.between == pytest.approx(chain.between, rel=1e-5)
    assert again.to_json() == chain.to_json()
    assert again.best(scores) == chain.best(scores)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda tree: tree.pop("last"), "wants the numbers"),
        (lambda tree: tree.update(last=["x", 0, 0]), "wants the numbers"),
        (lambda tree: tree.update(first=[0, 0]), "3 labels"),
        (lambda tree: tree.update(between=[[0, 0, 0]]), "3 labels"),
        (lambda tree: tree.update(more=1), "3 labels"),
        (lambda tree: tree["first"].__setitem__(0, float("nan")), "from -50 to 50"),
        (lambda tree: tree["last"].__setitem__(0, -51), "from -50 to 50"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(change, reason: str) -> None:  # type: ignore[no-untyped-def]
    tree = json.loads(drawn(0, 1)[0].to_json())
    change(tree)
    with pytest.raises(InvalidInput, match=reason):
        Transitions.from_json(json.dumps(tree), NUM_LABELS)


@pytest.mark.parametrize("text", ["", "[]", "{", "3", '{"first": {}}', "[" * 100_000])
def test_a_file_that_is_something_else_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="wants the numbers"):
        Transitions.from_json(text, NUM_LABELS)
