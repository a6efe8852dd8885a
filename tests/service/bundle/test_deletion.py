import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.bundle.deletion import kept_by, kept_text
from service.bundle.words import words_of

probabilities = st.lists(st.floats(0, 1), min_size=1, max_size=12)


@pytest.mark.parametrize(
    ("text", "dropped", "left"),
    [
        ("on May 25, he said", "25", "on May, he said"),
        ('he said "now" twice', '" now', 'he said" twice'),
        ("a well-known  man", "a", "well-known  man"),
        ("one two three", "two", "one three"),
        ("(one) two", "one", "() two"),
        ("one two", "one two", ""),
    ],
)
def test_what_is_left_is_put_together_as_it_stood(text: str, dropped: str, left: str) -> None:
    words, gone = words_of(text, "edges"), dropped.split()
    kept = [gone.pop(0) != word.text if gone and gone[0] == word.text else True for word in words]
    if '"' in dropped:
        kept = [True, True, False, False, True, True]
    assert kept_text(text, words, kept) == left


@given(st.text("ab .,'", max_size=30))
def test_a_text_that_keeps_all_its_words_stays_as_it_is(text: str) -> None:
    words = words_of(text, "edges")
    assert kept_text(text, words, [True] * len(words)) == text.strip()


@given(probabilities, st.floats(0.01, 1), st.floats(0.01, 0.99))
def test_a_ratio_keeps_the_likeliest_of_those_that_would_stay(
    given: list[float], ratio: float, keep_above: float
) -> None:
    free, bound = kept_by(given, keep_above), kept_by(given, keep_above, ratio)
    assert free == [probability > keep_above for probability in given]
    assert sum(bound) <= max(1, ratio * len(given))
    assert all(is_free or not is_bound for is_free, is_bound in zip(free, bound, strict=True))
    fallen = [p for p, was, stays in zip(given, free, bound, strict=True) if was and not stays]
    assert not fallen or max(fallen) <= min(p for p, stays in zip(given, bound, strict=True) if stays)
    if fallen:
        assert sum(bound) == max(1, int(ratio * len(given)))
