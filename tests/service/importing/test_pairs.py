import pytest

from service.engine.probe import Found
from service.errors import BundleRefused
from service.importing.pairs import find_pairs, key_of

WIDE = ("batch", 8)


def found(*names: str, shape: tuple[int | str | None, ...] = WIDE, dtype: str = "float32") -> list[Found]:
    return [Found(name, dtype, shape) for name in names]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("h0", "hn"),
        ("h_0", "h_n"),
        ("hx", "next_hx"),
        ("hidden_in", "hidden_out"),
        ("initial_h", "Y_h"),
        ("state", "stateN"),
        ("past_cell", "present_cell"),
        ("lstm.h_prev", "lstm.h_next"),
        ("encoder/cache_2", "encoder/cache_2_out"),
        ("HiddenIn", "HiddenOut"),
    ],
)
def test_names_that_differ_in_the_side_only_have_one_key(before: str, after: str) -> None:
    assert key_of(before) == key_of(after) != ()


def test_a_hidden_state_and_a_cell_are_told_apart() -> None:
    pairs = find_pairs(found("x", "c0", "h0"), found("y", "hn", "cn"), {}, "m")
    assert pairs == {"c0": "cn", "h0": "hn"}


def test_layers_are_told_apart_by_their_numbers() -> None:
    inputs, outputs = found("x", "h_1_in", "h_2_in"), found("h_2_out", "h_1_out", "y")
    assert find_pairs(inputs, outputs, {}, "m") == {"h_1_in": "h_1_out", "h_2_in": "h_2_out"}


def test_the_only_output_of_a_state_s_shape_carries_it_on() -> None:
    inputs = [*found("frame", shape=("batch", "time", 4)), *found("memory", shape=(2, "batch", 8))]
    outputs = [*found("scores", shape=("batch", "time", 3)), *found("74", shape=(2, "batch", 8))]
    assert find_pairs(inputs, outputs, {}, "m") == {"memory": "74"}


def test_what_cannot_be_told_is_asked_with_an_answer_to_copy() -> None:
    inputs = [*found("frame", shape=("batch", 4)), *found("a", "b")]
    with pytest.raises(BundleRefused, match=r"a, b cannot be told.*same order: --state a=y --state b=z"):
        find_pairs(inputs, found("y", "z"), {}, "m")


def test_a_graph_without_a_state_is_refused_with_what_it_has() -> None:
    with pytest.raises(BundleRefused, match=r"nothing is a state. Inputs: x float32 \[batch, 8\].*--state"):
        find_pairs(found("x"), found("scores"), {}, "m")


def test_a_pair_of_one_name_and_two_shapes_is_none() -> None:
    inputs = [*found("x", shape=("batch", 3)), *found("h0")]
    with pytest.raises(BundleRefused, match="nothing is a state"):
        find_pairs(inputs, found("hn", shape=("batch", 9)), {}, "m")


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"h": "y"}, "has no input 'h'"),
        ({"a": "q"}, "has no output 'q'"),
        ({"a": "wide"}, "a state keeps type and shape"),
        ({"a": "y", "x": "y"}, "cannot carry on two states"),
    ],
)
def test_given_pairs_must_fit(given: dict[str, str], why: str) -> None:
    outputs = [*found("y"), *found("wide", shape=("batch", 9))]
    with pytest.raises(BundleRefused, match=why):
        find_pairs(found("x", "a"), outputs, given, "m")


def test_given_pairs_win_over_names() -> None:
    inputs, outputs = found("x", "h0", "c0"), found("hn", "cn")
    assert find_pairs(inputs, outputs, {"h0": "cn", "c0": "hn"}, "m") == {"h0": "cn", "c0": "hn"}
