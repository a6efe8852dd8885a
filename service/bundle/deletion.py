"""A text without some of its words, put together again. One copy for serving and for scoring."""

from collections.abc import Sequence

from service.bundle.words import Word


def kept_text(text: str, words: Sequence[Word], kept: Sequence[bool]) -> str:
    """What is left of the text.

    Between two words that are left stands what stood between them; where words fell out between them, a space, but a
    mark stays with the word before it, as in "May 25, he said" without "25".
    """
    parts: list[str] = []
    last: int | None = None
    for number, (word, is_kept) in enumerate(zip(words, kept, strict=True)):
        if not is_kept:
            continue
        if last is not None:
            parts.append(_gap(text, words, last, number))
        parts.append(word.text)
        last = number
    return "".join(parts)


def _gap(text: str, words: Sequence[Word], last: int, number: int) -> str:
    before, word = words[number - 1], words[number]
    between = text[before.end : word.start]
    if last == number - 1:
        return between
    is_mark = not any(map(str.isalnum, word.text))
    return "" if is_mark and not between else " "


def kept_by(probabilities: Sequence[float], keep_above: float, max_ratio: float | None = None) -> list[bool]:
    """Whether each word is kept: those that are more probable than `keep_above`; with `max_ratio` no more than this
    share of all words, the likeliest (of equal ones the first), but at least one.
    """
    kept = [probability > keep_above for probability in probabilities]
    if max_ratio is None:
        return kept
    room = max(1, int(max_ratio * len(kept)))
    order = sorted(range(len(kept)), key=lambda number: -probabilities[number])
    best = set(order[:room])
    return [is_kept and number in best for number, is_kept in enumerate(kept)]
