"""Rules for what may be written, against searches that are written down plainly."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.step import NOTHING
from service.tasks.decoding import DecodingOptions, Finish, Found, new_search
from service.tasks.outputs import hypotheses_of
from tests.fakes.by_the_book import Output, all_outputs, likeliest
from tests.fakes.toy_bundles import SPANISH, toy_tokenizer
from tests.fakes.toy_table import TableModel

TOKENIZER = toy_tokenizer()
STOPS = ["uno dos", "dos", "o u", "s", "tres uno", "o", " uno uno", "un"]

models = st.builds(TableModel, num_words=st.integers(1, 3), seed=st.integers(0, 10**6))


def options_of(given: dict[str, Any], model: TableModel) -> DecodingOptions:
    """Options that fit together and into the model."""
    given = dict(given)
    prefix = [SPANISH[word % model.num_words] for word in given.pop("prefix")][: given["max_length"]]
    given["min_length"] = min(given["min_length"], given["max_length"])
    return DecodingOptions(**given, target_prefix=" ".join(prefix))


wishes = st.fixed_dictionaries(
    {
        "max_length": st.integers(1, 4),
        "min_length": st.integers(0, 4),
        "length_penalty": st.floats(0, 2),
        "repetition_penalty": st.sampled_from([1.0, 1.5, 4.0]),
        "no_repeat_ngram_size": st.integers(0, 3),
        "prefix": st.lists(st.integers(0, 2), max_size=3),
        "stop": st.lists(st.sampled_from(STOPS), max_size=2).map(tuple),
    }
)


def searched(model: TableModel, options: DecodingOptions) -> list[Found]:
    return model.drive(new_search(NOTHING, NOTHING, model.plan(options)).program(None))


def written(found: Found) -> tuple[str, Finish, int]:
    [hypothesis] = hypotheses_of(TOKENIZER, [found])
    return hypothesis.text, hypothesis.finish, len(hypothesis.tokens)


def by_the_book(output: Output) -> tuple[str, Finish]:
    return output.text, output.finish


@settings(max_examples=300)
@given(models, wishes)
def test_the_best_token_at_each_step_is_that_of_the_book(model: TableModel, given: dict[str, Any]) -> None:
    options = options_of(given, model)
    [found], expected = searched(model, options), likeliest(model, options)
    assert written(found)[:2] == by_the_book(expected)
    assert found.score == pytest.approx(expected.score)


@settings(max_examples=150, deadline=None)
@given(models, wishes, st.integers(1, 3))
def test_a_beam_that_holds_every_output_finds_the_best_that_the_rules_allow(
    model: TableModel, given: dict[str, Any], num: int
) -> None:
    options = options_of(given, model)
    every = sorted(all_outputs(model, options), key=lambda output: -output.score)
    wide = replace(options, beam_size=4**options.max_length + 1, num_hypotheses=num)
    found = searched(model, wide)
    assert [each.score for each in found] == pytest.approx([output.score for output in every[:num]])
    assert [written(each)[:2] for each in found] == [by_the_book(output) for output in every[:num]]


@settings(max_examples=100)
@given(models, wishes, st.integers(2, 5))
def test_whatever_a_beam_finds_the_rules_allow(model: TableModel, given: dict[str, Any], width: int) -> None:
    options = options_of(given, model)
    every = {(*by_the_book(output), round(output.score, 6)) for output in all_outputs(model, options)}
    for found in searched(model, replace(options, beam_size=width, num_hypotheses=width)):
        assert (*written(found)[:2], round(found.score, 6)) in every


@settings(max_examples=150)
@given(models, wishes, st.integers(0, 2**64 - 1), st.sampled_from([0, 2, 3]))
def test_whatever_is_drawn_the_rules_allow(
    model: TableModel, given: dict[str, Any], seed: int, topk: int
) -> None:
    options = replace(options_of(given, model), seed=seed, sampling_topk=topk, temperature=3.0)
    every = {(*by_the_book(output), round(output.score, 6)) for output in all_outputs(model, options)}
    [found] = searched(model, options)
    assert (*written(found)[:2], round(found.score, 6)) in every
    assert found.seed == seed


def repeating() -> TableModel:
    """Says uno for ever, if it may."""
    model = TableModel(num_words=3, seed=0)
    model.tables = {prefix: {4: -0.125, 5: -1.0, 6: -2.0, 2: -4.0} for prefix in prefixes(3, 5)}
    return model


def prefixes(num_words: int, longest: int) -> list[tuple[int, ...]]:
    every: list[tuple[int, ...]] = [()]
    for prefix in every:
        if len(prefix) < longest:
            every += [(*prefix, 4 + word) for word in range(num_words)]
    return every


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({}, "uno uno uno uno uno"),
        ({"repetition_penalty": 10.0}, "uno dos uno uno uno"),
        ({"no_repeat_ngram_size": 1}, "uno dos tres"),
        ({"no_repeat_ngram_size": 2}, "uno uno dos uno tres"),
        ({"no_repeat_ngram_size": 3}, "uno uno uno dos uno"),
        ({"target_prefix": "tres dos"}, "tres dos uno uno uno"),
        ({"target_prefix": "tres dos", "max_length": 2}, "tres dos"),
        ({"stop": ("uno uno",)}, ""),
        ({"stop": ("o u",)}, "un"),
        ({"stop": ("no uno uno",)}, "u"),
        ({"stop": (" ",)}, "uno"),
        ({"target_prefix": "uno uno", "stop": ("uno",)}, "uno uno "),
        ({"target_prefix": "uno uno", "stop": ("o u",)}, "uno uno un"),
    ],
)
def test_one_option_after_the_other(options: dict[str, Any], text: str) -> None:
    [found] = searched(repeating(), DecodingOptions(**({"max_length": 5} | options)))
    assert written(found)[0] == text


def test_the_penalty_multiplies_and_so_the_first_of_the_book_comes_back() -> None:
    """-0.125 × 10 = -1.25 is less than -1, but more than -1 × 10."""
    [found] = searched(repeating(), DecodingOptions(max_length=3, repetition_penalty=10.0))
    assert [token.id for token in found.tokens] == [4, 5, 4]
    assert [token.log_prob for token in found.tokens] == [-0.125, -1.0, -0.125]
    assert found.score == pytest.approx((-0.125 - 1.0 - 1.25) / ((5 + 3) / 6))


def test_a_token_in_which_a_stop_text_begins_keeps_what_is_before_it() -> None:
    [found] = searched(repeating(), DecodingOptions(max_length=5, stop=("o u",)))
    [hypothesis] = hypotheses_of(TOKENIZER, [found])
    assert [token.piece for token in hypothesis.tokens] == ["un"]
    assert hypothesis.finish is Finish.STOP
    assert found.score == pytest.approx(2 * -0.125 / ((5 + 2) / 6))
