import torch

from service.bundle.tokenizer import EOS, PAD
from tests.training.export.test_words import copying


def test_losses_are_the_probabilities_that_the_steps_give() -> None:
    model, _ = copying("luong", True)
    source = torch.tensor([[5, 6, 7, 5, EOS], [8, 9, EOS, PAD, PAD]])
    lengths, target = torch.tensor([5, 3]), torch.tensor([[1, 5, 30, EOS], [1, 8, EOS, PAD]])
    losses = model.losses(source, lengths, target)
    memory, state = model.encode(source, lengths)
    for place in range(3):
        log_probs, state, _ = model.step(target[:, place], state, memory)
        assert torch.allclose(log_probs.exp().sum(-1), torch.ones(2), atol=1e-5)
        wanted = -log_probs.gather(1, target[:, place + 1 :][:, :1])[:, 0]
        real = target[:, place + 1] != PAD
        assert torch.allclose(losses[:, place][real], wanted[real], atol=1e-5)
    assert losses[1, 2] == 0


def test_a_closed_gate_copies_and_an_open_one_writes() -> None:
    model, _ = copying("luong", True)
    source, lengths = torch.tensor([[40, 41, EOS]]), torch.tensor([3])
    for bias, copies in ((-30.0, True), (30.0, False)):
        with torch.no_grad():
            model.gate.bias.fill_(bias)
        memory, state = model.encode(source, lengths)
        log_probs, _, weights = model.step(torch.tensor([1]), state, memory)
        likely = set(log_probs[0].topk(3).indices.tolist())
        assert (likely == {40, 41, EOS}) is copies
        if copies:
            assert torch.allclose(log_probs[0, source[0]].exp(), weights[0], atol=1e-5)
