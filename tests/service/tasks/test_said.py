import json

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from service.tasks.said import (
    HeardToken,
    LabelScore,
    NamedTensor,
    PredictedStep,
    Said,
    TaggedWord,
    label_scores,
)

text, number, count = st.text(), st.floats(allow_nan=False), st.integers(0, 2**40)
label = st.builds(LabelScore, text, number)
said = st.builds(
    Said,
    labels=st.lists(label).map(tuple),
    words=st.lists(st.builds(TaggedWord, text, text, number, count, count)).map(tuple),
    heard=st.lists(st.builds(HeardToken, count, text, number)).map(tuple),
    steps=st.lists(
        st.builds(PredictedStep, st.lists(label).map(tuple), st.lists(number).map(tuple), number)
    ).map(tuple),
)


@given(said)
def test_what_was_said_comes_back_from_the_log_as_it_was(one: Said) -> None:
    assert Said.from_json(json.loads(json.dumps(one.to_json()))) == one


@given(arrays(st.sampled_from([np.float32, np.int64]), array_shapes(min_dims=0, max_side=3)))
def test_tensors_come_back_bit_for_bit_with_their_shape(
    array: np.ndarray[tuple[int, ...], np.dtype[np.float32]],
) -> None:
    one = Said(tensors=(NamedTensor("h", array),))
    [(name, back)] = Said.from_json(json.loads(json.dumps(one.to_json()))).tensors
    assert (name, back.dtype, back.shape, back.tobytes()) == ("h", array.dtype, array.shape, array.tobytes())


def test_nothing_said_takes_nothing() -> None:
    assert Said().to_json() == {}


def test_labels_come_with_the_most_probable_first_and_equal_ones_as_the_model_has_them() -> None:
    scores = label_scores(np.log(np.array([0.25, 0.5, 0.25], np.float32)), ("a", "b", "c"))
    assert [score.label for score in scores] == ["b", "a", "c"]
