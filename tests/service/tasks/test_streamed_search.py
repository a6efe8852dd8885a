"""What a search tells while it runs is the beginning of what it finds: nothing is taken back."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.sessions import Unfinished
from service.sessions.plain import Plain
from service.step import NOTHING
from service.tasks.decoding import DecodingOptions, Found, ScoredToken, Search, new_search
from service.tasks.decoding.hypothesis import LEAST_COVERAGE, covered
from service.tasks.jobs import Program
from service.tasks.outputs import TokenWriter, hypotheses_of
from service.tasks.writing import Writing
from tests.fakes.by_the_book import coverage
from tests.fakes.toy_bundles import toy_tokenizer
from tests.fakes.toy_table import SOURCE, SOURCE_LENGTH, TableModel, Told
from tests.service.tasks.test_constraints import models, options_of, wishes

TOKENIZER = toy_tokenizer()

extras = st.fixed_dictionaries(
    {
        "num_alternatives": st.integers(0, 2),
        "return_attention": st.booleans(),
        "seed": st.integers(0, 2**64 - 1),
    }
)
searches = st.one_of(
    st.fixed_dictionaries({"beam_size": st.integers(1, 6)}),
    st.fixed_dictionaries({"beam_size": st.integers(1, 6), "coverage_penalty": st.sampled_from([0.5, 3.0])}),
    st.fixed_dictionaries({"sampling_topk": st.sampled_from([0, 2, 3]), "temperature": st.just(3.0)}),
)


def asked(
    model: TableModel, given: dict[str, Any], search: dict[str, Any], extra: dict[str, Any]
) -> DecodingOptions:
    return replace(options_of(given, model), **search, **extra)


def begun(model: TableModel, options: DecodingOptions) -> Search:
    return new_search(NOTHING, SOURCE, model.plan(options))


class Reader:
    """Reads a stream: takes out what comes in pieces, and what is left at the end."""

    def __init__(self, model: TableModel, options: DecodingOptions, unfinished: Unfinished) -> None:
        self._model, self._plan = model, model.plan(options)
        self.writing = Writing(self._plan, unfinished)
        self._pen = TokenWriter(TOKENIZER)
        self.tokens = list(self._pen.write(self.writing.written))
        self.found: list[Found] | None = None

    def read(self, num_steps: int = 1000) -> "Reader":
        told: Any = Told()
        begin = lambda: iter_search(new_search(NOTHING, SOURCE, self._plan))  # noqa: E731
        self.found = self._model.drive_for(num_steps, self.writing.program(begin, told))
        for item in told.items:
            self.tokens += self._pen.write(self.writing.follow([item], None))
        if self.found:
            rest = self.writing.follow([], self.found)
            self.tokens += self._pen.write(rest, self.found[0].last_chars)
        return self

    @property
    def text(self) -> str:
        return "".join(token.piece for token in self.tokens)


def iter_search(search: Search) -> Program[Search]:
    """Begins without a step."""
    yield from ()
    return search


@settings(max_examples=300, deadline=None)
@given(models, wishes, searches, extras)
def test_what_is_streamed_is_what_is_found(
    model: TableModel, given: dict[str, Any], search: dict[str, Any], extra: dict[str, Any]
) -> None:
    options = asked(model, given, search, extra)
    reader = Reader(model, options, Unfinished("")).read()
    whole = model.drive(begun(model, options).program(None))
    assert reader.found == whole
    best = hypotheses_of(TOKENIZER, whole)[0]
    assert tuple(reader.tokens) == best.tokens
    assert reader.text == best.text


@settings(max_examples=200, deadline=None)
@given(models, wishes, searches, extras, st.integers(0, 5))
def test_cut_off_and_gone_on_with_after_any_step_the_stream_is_the_same(
    model: TableModel, given: dict[str, Any], search: dict[str, Any], extra: dict[str, Any], num_steps: int
) -> None:
    options = asked(model, given, search, extra)
    whole = Reader(model, options, Unfinished("")).read()
    unfinished = Unfinished("")
    first = Reader(model, options, unfinished).read(num_steps)
    if first.found:
        return
    first.writing.stop()
    saved = unfinished.search
    assert saved is not None
    second = Reader(model, options, Unfinished("", Plain(saved.to_plain().facts, saved.to_plain().arrays)))
    assert [token.id for token in second.tokens][: len(first.tokens)] == [t.id for t in first.tokens]
    second.read()
    assert second.tokens == whole.tokens
    assert second.found == whole.found


def certain_after(model: TableModel, options: DecodingOptions, num_steps: int) -> list[int]:
    reader = Reader(model, options, Unfinished("")).read(num_steps)
    assert reader.found is None
    return [token.id for token in reader.tokens]


def test_a_beam_tells_what_all_its_hypotheses_share_before_it_has_ended() -> None:
    model = TableModel(num_words=2, seed=0)
    model.tables = {(): {4: -0.1, 5: -9.0, 2: -9.5}}
    model.tables |= {(4,): {4: -0.5, 5: -0.6, 2: -9.0}, (5,): {4: -0.5, 5: -0.6, 2: -9.0}}
    model.tables |= {(4, 4): {4: -9.0, 5: -9.1, 2: -9.2}, (4, 5): {4: -0.1, 5: -0.2, 2: -9.0}}
    options = DecodingOptions(beam_size=2, max_length=4)
    assert certain_after(model, options, 1) == []
    assert certain_after(model, options, 2) == [4]
    assert certain_after(model, options, 3) == [4, 5]


def test_an_output_that_has_finished_and_may_still_win_holds_the_others_back() -> None:
    model = TableModel(num_words=2, seed=0)
    model.tables = {(): {2: -1.0, 4: -1.1, 5: -9.0}, (4,): {5: -0.1, 4: -8.0, 2: -9.0}}
    model.tables |= {(4, 5): {5: -0.1, 4: -8.0, 2: -9.0}}
    told = DecodingOptions(beam_size=2, num_hypotheses=2, length_penalty=2.0, max_length=6)
    assert certain_after(model, told, 2) == []


def test_hypotheses_that_can_only_come_second_hold_nothing_back() -> None:
    model = TableModel(num_words=2, seed=0)
    model.tables = {(): {4: -0.1, 5: -9.0, 2: -9.5}, (4,): {2: -0.1, 5: -5.0, 4: -9.0}}
    model.tables |= {(4, 5): {4: -1.0, 5: -1.5, 2: -2.0}}
    options = DecodingOptions(beam_size=2, num_hypotheses=2, length_penalty=0.0, max_length=5)
    assert certain_after(model, options, 2) == [4]


def test_text_that_may_become_a_stop_text_is_held_back() -> None:
    model = TableModel(num_words=2, seed=0)
    model.tables = {(): {4: -0.1, 2: -3.0}, (4,): {5: -0.1, 2: -3.0}, (4, 5): {5: -0.1, 2: -3.0}}
    options = DecodingOptions(max_length=5, stop=("uno dos uno",))
    assert certain_after(model, options, 1) == []
    assert certain_after(model, options, 2) == []
    assert certain_after(model, options, 3) == [4, 5, 5]


def test_beams_tell_early_more_often_than_not() -> None:
    """Or the tests above show less than they seem to."""
    early = 0
    for seed in range(40):
        model, told = TableModel(num_words=3, seed=seed), Told()
        search = begun(model, DecodingOptions(beam_size=3, max_length=6, min_length=5))
        model.drive(search.program(told))  # type: ignore[arg-type]
        early += bool(told.items)
    assert early > 20


@settings(max_examples=60)
@given(models, st.integers(1, 4), st.floats(0.1, 5), st.integers(1, 4))
def test_the_score_has_the_coverage_penalty_of_wu_et_al(
    model: TableModel, width: int, penalty: float, max_length: int
) -> None:
    options = DecodingOptions(beam_size=width, num_hypotheses=width, max_length=max_length)
    with_it = replace(options, coverage_penalty=penalty, return_attention=True, length_penalty=0.0)
    for found in model.drive(begun(model, with_it).program(None)):
        looked = [list(token.attention) for token in found.tokens]
        total = sum(token.log_prob for token in found.tokens)
        if found.finish.value == "end":
            ids = tuple(token.id for token in found.tokens)
            total += model.follow(ids)[2]
            looked.append(attention_of(model, ids))
        assert found.score == pytest.approx(total + coverage(looked, penalty), abs=1e-5)


def attention_of(model: TableModel, prefix: tuple[int, ...]) -> list[float]:
    return [float(x) for x in model.looked(prefix)]


def test_what_nothing_looked_at_costs_much_but_not_everything() -> None:
    assert covered(np.array([1.0, 2.0, 0.0]), 2.0) == pytest.approx(2 * np.log(LEAST_COVERAGE))


@settings(max_examples=60)
@given(models, wishes, searches, st.integers(0, 3))
def test_alternatives_are_the_best_of_the_others_as_the_model_has_them(
    model: TableModel, given: dict[str, Any], search: dict[str, Any], num: int
) -> None:
    options = asked(model, given, search, {"num_alternatives": num})
    for found in model.drive(begun(model, options).program(None)):
        ids = [token.id for token in found.tokens]
        for at, token in enumerate(found.tokens):
            ranked = sorted(model.follow(tuple(ids[:at])).items(), key=lambda pair: (-pair[1], pair[0]))
            assert token.log_prob == dict(ranked)[token.id]
            assert list(token.alternatives) == [pair for pair in ranked if pair[0] != token.id][:num]


def test_attention_comes_with_each_token_where_it_is_asked_for() -> None:
    model = TableModel(num_words=3, seed=3)
    for width in (1, 3):
        options = DecodingOptions(beam_size=width, max_length=4, min_length=3, return_attention=True)
        [found] = model.drive(begun(model, options).program(None))
        ids = tuple(token.id for token in found.tokens)
        for at, token in enumerate(found.tokens):
            assert len(token.attention) == SOURCE_LENGTH
            assert list(token.attention) == attention_of(model, ids[:at])


def test_tokens_carry_nothing_that_was_not_asked_for() -> None:
    model = TableModel(num_words=3, seed=3)
    for width in (1, 3):
        [found] = model.drive(begun(model, DecodingOptions(beam_size=width, max_length=4)).program(None))
        assert all(token == ScoredToken(token.id, token.log_prob) for token in found.tokens)
