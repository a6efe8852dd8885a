import torch
from torch import nn

from training.fit.ema import Average


def model(value: float = 1.0) -> nn.Linear:
    linear = nn.Linear(2, 1)
    put(linear, value)
    return linear


def put(linear: nn.Linear, value: float) -> None:
    with torch.no_grad():
        linear.weight.fill_(value)
        linear.bias.fill_(value)


def mean_of(average: Average, linear: nn.Linear) -> float:
    with average.applied():
        assert torch.equal(linear.bias, linear.weight[0, :1])
        return linear.bias.item()


def test_the_mean_follows_the_formula() -> None:
    linear = model(0.0)
    average, wanted = Average(linear, 0.5), 0.0
    for number, value in enumerate((1.0, 3.0, -2.0, 5.0)):
        put(linear, value)
        average.update()
        decay = min(0.5, (1 + number) / (10 + number))
        wanted = decay * wanted + (1 - decay) * value
    assert abs(mean_of(average, linear) - wanted) < 1e-6


def test_the_model_has_its_own_weights_again_even_after_an_error() -> None:
    linear = model()
    average = Average(linear, 0.9)
    put(linear, 4.0)
    average.update()
    try:
        with average.applied():
            assert linear.bias.item() != 4.0
            raise KeyError
    except KeyError:
        assert linear.bias.item() == 4.0


def test_it_goes_on_from_its_state() -> None:
    linear = model()
    whole, first = Average(linear, 0.9), Average(linear, 0.9)
    put(linear, 2.0)
    whole.update()
    first.update()
    second = Average(linear, 0.9)
    second.restore(first.state())
    put(linear, 7.0)
    whole.update()
    second.update()
    assert mean_of(whole, linear) == mean_of(second, linear)


def test_a_decay_of_zero_is_no_average() -> None:
    linear = model()
    average = Average(linear, 0.0)
    put(linear, 3.0)
    average.update()
    assert mean_of(average, linear) == 3.0
    average.restore(None)
    assert average.state() == {"num": 0, "mean": []}
