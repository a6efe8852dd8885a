"""A search can be stopped between any two steps, written down, and gone on with elsewhere."""

import gc
import weakref
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.sessions.plain import Plain
from service.sessions.snapshot import Snapshot, decode, encode
from service.step import NOTHING, Chosen, Row
from service.tasks.decoding import DecodingOptions, Found, Plan, ScoredToken, Search, new_search, search_from
from tests.fakes.toy_table import FIRST_WORD, TableModel, Told

models = st.builds(
    TableModel, num_words=st.integers(1, 3), seed=st.integers(0, 1000), is_coarse=st.booleans()
)


def through_a_snapshot(search: Search) -> Plain:
    plain = search.to_plain()
    snapshot = Snapshot("id", "", "m", "1", "hash", 1, 0.0, 1.0, plain.facts, plain.arrays)
    back = decode(encode(snapshot))
    return Plain(back.facts, back.arrays)


def go(model: TableModel, search: Search, steps: int) -> tuple[list[ScoredToken], list[Found] | None]:
    """Run so many steps: what was told, and what was found if the search came to its end."""
    told: Any = Told()
    found = search.found or model.drive_for(steps, search.program(told))
    search.follow(told.items)
    return list(told.tokens), found


def to_the_end(model: TableModel, search: Search) -> tuple[list[ScoredToken], list[Found]]:
    told, found = go(model, search, 1000)
    assert found is not None
    return told, found


@settings(max_examples=60)
@given(models, st.integers(1, 4), st.integers(0, 8), st.integers(1, 8), st.integers(0, 3), st.booleans())
def test_stopped_anywhere_it_finds_the_same(
    model: TableModel, width: int, stop_after: int, max_length: int, min_length: int, is_written_down: bool
) -> None:
    options = DecodingOptions(width, min(2, width), 1.0, max_length, min(min_length, max_length))
    whole_told, whole_found = to_the_end(model, new_search(NOTHING, NOTHING, Plan(options)))
    first = new_search(NOTHING, NOTHING, Plan(options))
    told, _ = go(model, first, stop_after)
    second = search_from(through_a_snapshot(first) if is_written_down else first, Plan(options))
    assert second.found or list(second.written()) == told
    more, found = to_the_end(model, second)
    assert (told + more, found) == (whole_told, whole_found)


def test_a_checkpoint_does_not_notice_that_its_search_goes_on() -> None:
    model, options = TableModel(num_words=3, seed=0), DecodingOptions(1, 1, 1.0, 8, 8)
    search = new_search(NOTHING, NOTHING, Plan(options))
    go(model, search, 2)
    checkpoint = search.checkpoint()
    whole = to_the_end(model, search)[1]
    assert len(checkpoint.written()) == 2
    assert to_the_end(model, checkpoint)[1] == whole


@settings(max_examples=60)
@given(models, st.integers(1, 8), st.lists(st.integers(0, 3), max_size=4), st.booleans())
def test_followed_in_pieces_of_any_size_it_stands_where_the_whole_stood(
    model: TableModel, max_length: int, pieces: list[int], has_to_be_long: bool
) -> None:
    options = DecodingOptions(1, 1, 1.0, max_length, max_length * has_to_be_long)
    search, told = new_search(NOTHING, NOTHING, Plan(options)), Told()
    whole = model.drive(search.program(cast("Any", told)))
    left, known = list(told.items), list[ScoredToken]()
    for size in pieces:
        some, left = left[:size], left[size:]
        search.follow(some)
        known += [ScoredToken(item.id, item.log_prob) for item in some]
        checkpoint = search.checkpoint()
        assert list(checkpoint.written()) == known
        more, found = to_the_end(model, search_from(through_a_snapshot(checkpoint), Plan(options)))
        assert (known + more, found) == (list(told.tokens), whole)


class Batch(np.ndarray[Any, Any]):
    """An array that can be watched going away."""


def in_a_batch(prefixes: list[int]) -> tuple[Chosen, weakref.ref[Batch]]:
    """What the second of a batch is told."""
    rows = np.array([prefixes, prefixes, prefixes]).view(Batch)
    return Chosen(FIRST_WORD, -1.0, Row({"prefix": rows}, 1)), weakref.ref(rows)


@pytest.mark.parametrize("kept", ["checkpoint", "to_plain"])
def test_what_is_kept_of_a_search_keeps_no_batch_alive(kept: str) -> None:
    search = new_search(NOTHING, NOTHING, Plan(DecodingOptions(1, 1, 1.0, 8, 8)))
    item, batch = in_a_batch([4, 5])
    search.follow([item])
    saved = search.checkpoint() if kept == "checkpoint" else search.to_plain()
    del search, item
    gc.collect()
    assert batch() is None
    plain = saved if isinstance(saved, Plain) else saved.to_plain()
    assert plain.arrays["state/prefix"].tolist() == [4, 5]


def test_a_search_lets_go_of_the_batch_before_when_it_is_told_of_the_next() -> None:
    search = new_search(NOTHING, NOTHING, Plan(DecodingOptions(1, 1, 1.0, 8, 8)))
    item, old = in_a_batch([4])
    search.follow([item])
    item, new = in_a_batch([4, 4])
    search.follow([item])
    gc.collect()
    assert (old() is None, new() is None) == (True, False)


def test_each_step_of_a_search_that_was_stopped_runs_once() -> None:
    options = DecodingOptions(1, 1, 1.0, 6, 6)
    model = TableModel(num_words=2, seed=1)
    search = new_search(NOTHING, NOTHING, Plan(options))
    for _ in range(6):
        go(model, search, 1)
        search = search_from(through_a_snapshot(search), Plan(options))
    assert len(search.written()) == 6
    assert model.rows == 6
