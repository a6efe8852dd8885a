"""A card says what a stranger has to know; what the exporter measures on dev, it writes down itself."""

from pathlib import Path

import numpy as np
import pytest

from tests.bundles import write_classifier
from training.export.dev import Dev
from training.export.mistakes import mistakes_on

SECTIONS = ("What it is for", "Data and licence", "Scores", "On dev", "Where it fails")


def test_a_card_has_every_section_and_what_is_not_known_is_said(tmp_path: Path) -> None:
    card = (write_classifier(tmp_path, export={"use": "For toys."}) / "README.md").read_text("utf-8")
    assert [line[3:] for line in card.splitlines() if line.startswith("## ")] == list(SECTIONS)
    assert "For toys." in card
    assert "exported without `--data`" in card
    assert "seqserve evaluate --model toy-intents TEST_FILE" in card


def test_labels_are_told_by_which_is_taken_for_which() -> None:
    references = ["a", "b", "a"] * 20
    answers = ["a", "a", "a"] * 20
    assert "| b | a | 20 |" in mistakes_on(Dev(["x"] * 60, references), answers)
    assert mistakes_on(Dev(["x"] * 60, references), references) == "All labels are right."


def test_labels_of_readings_are_counted_one_by_one() -> None:
    table = mistakes_on(Dev([np.zeros((2, 1))], [["calm", "wild"]]), [["wild", "wild"]])
    assert "| calm | wild | 1 |" in table


def test_texts_are_told_by_examples_evenly_spaced() -> None:
    texts = [f"text {number}" for number in range(100)]
    table = mistakes_on(Dev(texts, texts), [*texts[:50], *(["wrong"] * 50)])
    assert table.startswith("50 of 100 are not what was wanted to the letter")
    rows = [line for line in table.splitlines() if line.endswith("| wrong |")]
    assert len(rows) == 8
    assert rows[0] == "| text 50 | text 50 | wrong |"


def test_what_is_no_text_is_not_shown_but_what_was_wanted_and_said_is() -> None:
    sounds = [np.zeros(3), np.zeros(4)]
    table = mistakes_on(Dev(sounds, ["one", "two"]), ["one", "ten|"])
    assert "| wanted | said |" in table
    assert "| two | ten\\| |" in table


@pytest.mark.parametrize("answers", [[0.5, 0.25], [np.zeros(2), np.zeros(2)]])
def test_numbers_are_not_listed(answers: list[object]) -> None:
    assert mistakes_on(Dev(["x", "y"], [1, 2]), answers) == ""
