"""A text is cut into the same words however it comes, and they say where they stand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.bundle.words import Cut, WordFeeder, subwords_of, words_of
from tests.fakes.toy_bundles import toy_tokenizer

ALPHABET = "ab'’.-,! \n\u00a0▁é😀e\u0301"
texts = st.text(st.sampled_from(ALPHABET), max_size=30)
cuts: st.SearchStrategy[Cut] = st.sampled_from(["marks", "edges"])


def cut(text: str, how: Cut) -> list[str]:
    return [word.text for word in words_of(text, how)]


@pytest.mark.parametrize(
    ("text", "marks", "edges"),
    [
        ("in Maldives.", "in Maldives .", "in Maldives ."),
        ("don't I’ll", "don't I’ll", "don't I’ll"),
        ("twenty-one, 3.5%", "twenty - one , 3 . 5 %", "twenty-one , 3.5 %"),
        ('"U.S." (and)', '" U . S . " ( and )', '" U.S . " ( and )'),
        ("e\u0301tude—oui", "e\u0301tude — oui", "e\u0301tude — oui"),
        ("a▁b", "a b", "a b"),
        ("", "", ""),
    ],
)
def test_words_and_marks(text: str, marks: str, edges: str) -> None:
    assert cut(text, "marks") == marks.split()
    assert cut(text, "edges") == edges.split()


@given(texts, cuts)
def test_words_stand_where_they_say_and_leave_out_white_space_only(text: str, how: Cut) -> None:
    words = words_of(text, how)
    assert all(text[word.start : word.end] == word.text for word in words)
    left = set(range(len(text))) - {place for word in words for place in range(word.start, word.end)}
    assert all(text[place] in " \n\u00a0▁" for place in left)


@given(st.lists(texts, max_size=5), cuts)
def test_a_text_fed_in_pieces_has_the_words_of_the_whole(pieces: list[str], how: Cut) -> None:
    feeder, found = WordFeeder(how), []
    for piece in pieces:
        found += feeder.feed(piece)
        feeder = WordFeeder.from_state(how, feeder.state())
    assert [*found, *feeder.finish()] == words_of("".join(pieces), how)


def test_a_word_is_held_back_until_white_space_follows() -> None:
    feeder = WordFeeder("marks")
    assert feeder.feed("play jaz") == words_of("play ", "marks")
    assert feeder.feed("z") == []
    assert [word.text for word in feeder.feed(" ")] == ["jazz"]


def test_every_word_has_subwords_and_says_where_its_last_one_stands() -> None:
    ids, ends = subwords_of(toy_tokenizer(), ["uno", "?", "dos"])
    assert ids == [4, 3, 5]
    assert ends == [0, 1, 2]
