import pytest

from service.bundle.spans import LabelSpan, spans_of


@pytest.mark.parametrize(
    ("labels", "spans"),
    [
        ("O B-a I-a O", [("a", 1, 3)]),
        ("B-a B-a I-a", [("a", 0, 1), ("a", 1, 3)]),
        ("B-a I-b I-b", [("a", 0, 1), ("b", 1, 3)]),
        ("O I-a I-a B-c", [("a", 1, 3), ("c", 3, 4)]),
        ("B-x-y I-x-y", [("x-y", 0, 2)]),
        ("NOUN VERB", []),
        ("", []),
    ],
)
def test_labels_of_neighbours_become_spans_as_the_conll_scorer_sees_them(
    labels: str, spans: list[tuple[str, int, int]]
) -> None:
    assert spans_of(labels.split()) == [LabelSpan(*span) for span in spans]
