"""Outputs that are written down, as arrays in a snapshot and as JSON in the log, come back as they were."""

import json

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from service.tasks.decoding import Finish, Found, ScoredToken
from service.tasks.decoding.hypothesis import found_from_plain, found_to_plain
from service.tasks.decoding.kept import found_from_json, found_to_json

floats = st.floats(width=32, allow_nan=False, allow_infinity=False)


def tokens(num_alternatives: int, length: int) -> st.SearchStrategy[ScoredToken]:
    alternatives = st.lists(st.tuples(st.integers(0, 99), floats), max_size=num_alternatives).map(tuple)
    attention = st.lists(floats, min_size=length, max_size=length).map(tuple)
    return st.builds(ScoredToken, st.integers(0, 99), floats, alternatives, attention)


founds = st.builds(
    Found,
    st.tuples(st.integers(0, 3), st.integers(0, 3)).flatmap(
        lambda sizes: st.lists(tokens(*sizes), max_size=4).map(tuple)
    ),
    floats,
    st.sampled_from(Finish),
    st.none() | st.integers(1, 9),
    st.integers(0, 2**64 - 1),
)


@given(founds)
def test_as_json(found: Found) -> None:
    assert found_from_json(*json.loads(json.dumps(found_to_json(found)))) == found


@given(founds)
def test_as_arrays(found: Found) -> None:
    assert found_from_plain("it", found_to_plain("it", found)) == found


def test_what_nobody_asked_for_takes_no_room_in_the_log() -> None:
    found = Found((ScoredToken(7, -0.5),), -0.25, Finish.END)
    assert found_to_json(found) == [[7], [-0.5], -0.25, "end"]


def test_arrays_of_a_version_that_knew_neither_stops_nor_seeds_are_taken_up() -> None:
    found = Found((ScoredToken(7, -0.5),), -0.25, Finish.END)
    arrays = {name: array for name, array in found_to_plain("it", found).items() if name != "it/seed"}
    assert found_from_plain("it", arrays | {"it/end": np.array([-0.25, 1.0])}) == found
    length = found._replace(finish=Finish.LENGTH)
    assert found_from_plain("it", arrays | {"it/end": np.array([-0.25, 0.0])}) == length
