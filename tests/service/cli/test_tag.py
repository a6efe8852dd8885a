import pytest

from service.cli.tag import in_brackets
from service.client import ModelVersion, Span, TaggedWord, Tagging

MODEL = ModelVersion("slots", "1")


def word(text: str, label: str, start: int) -> TaggedWord:
    return TaggedWord(text, label, 1.0, start, start + len(text))


@pytest.mark.parametrize(
    ("tagging", "shown"),
    [
        (
            Tagging((), (Span("city", "new  york", 3, 12),), (), MODEL, 4),
            "to [new  york city], now",
        ),
        (Tagging((word("to", "ADP", 0), word(",", "O", 12)), (), (), MODEL, 4), "[to ADP] new  york, now"),
        (Tagging((), (), (), MODEL, 4), "to new  york, now"),
    ],
)
def test_what_was_found_is_shown_where_it_stands(tagging: Tagging, shown: str) -> None:
    assert in_brackets("to new  york, now", tagging) == shown
