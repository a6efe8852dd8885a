"""The loss of a chain is what it says: minus the logarithm of the right labels' share among all."""

import itertools

import numpy as np
import pytest
import torch

from training.modules.chain import Chain

NUM_LABELS = 3
LENGTHS = (4, 1, 2)


@pytest.fixture
def chain() -> Chain:
    torch.manual_seed(0)
    chain = Chain(NUM_LABELS)
    for weight in chain.parameters():
        torch.nn.init.normal_(weight)
    return chain


def drawn() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    rows, longest = len(LENGTHS), max(LENGTHS)
    labels = torch.randint(0, NUM_LABELS, (rows, longest))
    return torch.randn(rows, longest, NUM_LABELS), labels, torch.tensor(LENGTHS)


def score(chain: Chain, scores: torch.Tensor, labels: tuple[int, ...]) -> float:
    total = chain.first[labels[0]] + chain.last[labels[-1]]
    total = total + sum(scores[t, label] for t, label in enumerate(labels))
    return float((total + sum(chain.between[pair] for pair in itertools.pairwise(labels))).detach())


def test_the_loss_is_that_of_the_right_labels_among_all(chain: Chain) -> None:
    scores, labels, lengths = drawn()
    expected = 0.0
    for row, length in enumerate(LENGTHS):
        every = itertools.product(range(NUM_LABELS), repeat=length)
        total = np.logaddexp.reduce([score(chain, scores[row], each) for each in every])
        expected += total - score(chain, scores[row], tuple(labels[row, :length].tolist()))
    assert float(chain.loss(scores, labels, lengths).detach()) == pytest.approx(expected, rel=1e-5)


def test_what_lies_past_a_text_bears_on_nothing(chain: Chain) -> None:
    scores, labels, lengths = drawn()
    first = chain.loss(scores, labels, lengths)
    for row, length in enumerate(LENGTHS):
        scores[row, length:], labels[row, length:] = 1e4, -1
    assert torch.equal(chain.loss(scores, labels, lengths), first)


def test_the_loss_is_the_same_where_a_word_scores_all_labels_higher(chain: Chain) -> None:
    scores, labels, lengths = drawn()
    higher = torch.log_softmax(scores, -1)
    first, second = chain.loss(scores, labels, lengths), chain.loss(higher, labels, lengths)
    assert float(first.detach()) == pytest.approx(float(second.detach()), rel=1e-5)


def test_scores_far_apart_have_a_loss_and_gradients(chain: Chain) -> None:
    scores, labels, lengths = drawn()
    loss = chain.loss(scores * 1e3, labels, lengths)
    loss.backward()  # type: ignore[no-untyped-call]
    assert torch.isfinite(loss)
    assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in chain.parameters())


def test_serving_has_the_same_numbers(chain: Chain) -> None:
    served = chain.transitions()
    assert served.between == pytest.approx(chain.between.detach().numpy())
    assert served.first == pytest.approx(chain.first.detach().numpy())
    assert served.last == pytest.approx(chain.last.detach().numpy())
