"""Scores, by hand and beside those of others."""

import pytest

from training.data.deletion import kept_words
from training.data.rouge import score_rouge
from training.data.scores import score_deletions, score_spans, score_whole


def test_spans_count_where_beginning_end_and_label_are_right() -> None:
    wanted = [["B-a", "I-a", "O", "B-b"], ["O", "B-c"]]
    found = [["B-a", "O", "O", "B-b"], ["O", "I-c"]]
    score = score_spans(found, wanted)
    assert score.precision == score.recall == pytest.approx(200 / 3)
    assert score.exact == 0
    assert score_spans(wanted, wanted) == (100, 100, 100, 100)


def test_deletions_count_each_word_as_often_as_it_stands_in_both() -> None:
    score = score_deletions(["the the dog."], ["The dog runs"], ["the the dog runs there."])
    assert score.f1 == pytest.approx(100 * 2 * 2 / 6)
    assert score.ratio == pytest.approx(12 / 23)
    assert score_deletions(["The dog, runs"], ["the dog runs."], ["x" * 26]).exact == 100


def test_rouge_by_hand() -> None:
    score = score_rouge(["the cat sat on the mat"], ["the cat was on a mat"])
    assert score.one == pytest.approx(100 * 4 / 6)
    assert score.two == pytest.approx(100 * 1 / 5)
    assert score.longest == pytest.approx(100 * 4 / 6)
    assert score_rouge(["..."], ["a"]) == (0, 0, 0)


def test_any_reference_makes_an_output_right_and_the_nearest_counts_its_tokens() -> None:
    assert score_whole(["a b"], [["x", "a b"]]) == (0, 0)
    found = score_whole(["a b", "a b c d"], [["a b"], ["a b c", "x y z d"]])
    assert found.whole == 50
    assert found.tokens == pytest.approx(100 * 1 / 5)


@pytest.mark.parametrize(
    ("words", "shorter", "kept"),
    [
        ("the man in the red hat ran", "The man ran", "++....+"),
        ("the dog saw the cat", "the cat", "...++"),
        ("a , b , c", "a , c", "++..+"),
        ("one two", "three", ".."),
        ("one two", "", ".."),
    ],
)
def test_kept_words_are_found_in_the_fewest_pieces(words: str, shorter: str, kept: str) -> None:
    found = kept_words(words.split(), shorter.split())
    assert "".join("+" if each else "." for each in found) == kept
