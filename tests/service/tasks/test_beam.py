"""Beam search against a model small enough to write down all its outputs."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import StepFailed
from service.step import NOTHING
from service.tasks.decoding import (
    BeamSearch,
    DecodingOptions,
    Finish,
    Found,
    GreedySearch,
    Plan,
    new_search,
)
from service.tasks.decoding.hypothesis import normalized
from service.tasks.jobs import Program
from tests.fakes.toy_table import TableModel, Told, num_outputs

models = st.builds(
    TableModel, num_words=st.integers(1, 3), seed=st.integers(0, 10**6), is_coarse=st.booleans()
)
penalties = st.floats(0, 5)


def beam_search(options: DecodingOptions) -> Program[list[Found]]:
    return BeamSearch(NOTHING, NOTHING, Plan(options)).program(None)


def beam(model: TableModel, **options: float) -> list[Found]:
    return model.drive(beam_search(DecodingOptions(**options)))  # type: ignore[arg-type]


@given(models, st.integers(1, 4), penalties, st.integers(0, 4), st.integers(1, 8))
def test_a_beam_that_holds_every_output_finds_the_best_ones(
    model: TableModel, max_length: int, penalty: float, min_length: int, num_hypotheses: int
) -> None:
    width = num_outputs(model.num_words, max_length)
    options = DecodingOptions(
        width, min(num_hypotheses, width), penalty, max_length, min(min_length, max_length)
    )
    found = model.drive(beam_search(options))
    expected = model.all_outputs(options)[: options.num_hypotheses]
    assert [each.score for each in found] == pytest.approx([each.score for each in expected])
    if not model.is_coarse:
        assert [each.tokens for each in found] == [each.tokens for each in expected]
        assert [each.finish for each in found] == [each.finish for each in expected]


@given(models, penalties, st.integers(1, 6), st.integers(0, 6))
def test_a_beam_of_one_is_greedy_search(
    model: TableModel, penalty: float, max_length: int, min_length: int
) -> None:
    options = DecodingOptions(1, 1, penalty, max_length, min(min_length, max_length))
    told: Any = Told()
    [greedy] = model.drive(GreedySearch(NOTHING, NOTHING, Plan(options)).program(told))
    assert model.drive(beam_search(options)) == [greedy]
    assert told.tokens == greedy.tokens


@given(models, st.integers(1, 6), st.integers(1, 6), penalties, st.integers(1, 6), st.integers(0, 3))
def test_outputs_come_best_first_with_the_scores_that_they_earn(
    model: TableModel, width: int, num: int, penalty: float, max_length: int, min_length: int
) -> None:
    options = DecodingOptions(width, min(num, width), penalty, max_length, min(min_length, max_length))
    found = model.drive(beam_search(options))
    assert 1 <= len(found) <= options.num_hypotheses
    assert [each.score for each in found] == sorted((each.score for each in found), reverse=True)
    assert len({each.tokens for each in found}) == len(found)
    everything = {
        (tuple(t.id for t in each.tokens), each.finish): each.score for each in model.all_outputs(options)
    }
    for each in found:
        key = tuple(token.id for token in each.tokens), each.finish
        assert each.score == pytest.approx(everything[key])


@given(models, st.integers(1, 6), penalties, st.integers(1, 6))
def test_the_same_search_finds_the_same(
    model: TableModel, width: int, penalty: float, max_length: int
) -> None:
    options = DecodingOptions(width, width, penalty, max_length)
    first = model.drive(beam_search(options))
    assert model.drive(beam_search(options)) == first


@given(models, st.integers(2, 6), st.integers(1, 5))
def test_no_more_rows_run_than_the_beam_is_wide(model: TableModel, width: int, max_length: int) -> None:
    beam(model, beam_size=width, max_length=max_length)
    assert model.rows <= width * max_length


def test_the_search_ends_when_no_live_hypothesis_can_win_any_more() -> None:
    model = TableModel(num_words=1, seed=0)
    model.tables = {(4,) * n: {2: -0.125, 4: -5.0} for n in range(100)}
    [found] = beam(model, beam_size=4, length_penalty=0.0, max_length=100)
    assert found == Found((), -0.125, Finish.END)
    assert model.rows == 1


def test_a_longer_output_may_still_win_by_the_length_penalty() -> None:
    model = TableModel(num_words=1, seed=0)
    model.tables = {(): {2: -1.0, 4: -1.1}, (4,): {2: -0.01, 4: -9.0}}
    [without] = beam(model, beam_size=2, length_penalty=0.0, max_length=2)
    [with_it] = beam(model, beam_size=2, length_penalty=5.0, max_length=2)
    assert [token.id for token in without.tokens] == []
    assert [token.id for token in with_it.tokens] == [4]


def test_equal_candidates_keep_the_order_of_the_engine() -> None:
    model = TableModel(num_words=3, seed=0)
    model.tables = {(): {4: -1.0, 5: -1.0, 6: -1.0, 2: -1.0}}
    found = beam(model, beam_size=3, num_hypotheses=3, max_length=1)
    assert [[token.id for token in each.tokens] for each in found] == [[4], [5], [6]]


def test_the_penalty_is_that_of_wu_et_al() -> None:
    assert normalized(-6.0, 7, 1.0) == -3.0
    assert normalized(-6.0, 7, 2.0) == -1.5
    assert normalized(-6.0, 7, 0.0) == -6.0


def test_a_wide_search_emits_the_best_output_at_its_end() -> None:
    model = TableModel(num_words=3, seed=5)
    told: Any = Told()
    options = DecodingOptions(3, 2, 1.0, 4, 2)
    found = model.drive(new_search(NOTHING, NOTHING, Plan(options)).program(told))
    assert told.tokens == found[0].tokens
    assert len(told.items) >= 2


def test_a_model_that_answers_nonsense_is_a_failed_step() -> None:
    model = TableModel(num_words=1, seed=0)
    model.tables = {(): {2: float("nan"), 4: float("nan")}}
    with pytest.raises(StepFailed, match="no usable"):
        beam(model, beam_size=2)


def test_an_output_that_has_finished_gives_up_its_place() -> None:
    model = TableModel(num_words=2, seed=0)
    model.tables = {(): {2: -0.5, 4: -0.75, 5: -1.0}, (4,): {4: -0.5, 5: -0.75, 2: -9.0}}
    model.tables |= {(4, 4): {4: -0.5, 5: -0.75, 2: -9.0}}
    found = beam(model, beam_size=2, num_hypotheses=2, max_length=3)
    assert [[token.id for token in each.tokens] for each in found] == [[], [4, 4, 4]]
    assert model.rows == 3
