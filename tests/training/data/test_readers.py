import json
from pathlib import Path

import pytest

from training.config import LabelledData, PairData
from training.data.readers import DataError, Labelled, Pair, read_labelled, read_pairs

TSV = PairData(columns=("en", "es"), train=("a.tsv",), dev=("a.tsv",))
PARALLEL = PairData(format="parallel", train=("a.{language}",), dev=("a.{language}",))
JSONL = LabelledData(format="jsonl", text="tokens", label="intent", train=("a.jsonl",), dev=("a.jsonl",))


def write(path: Path, text: str) -> None:
    path.write_text(text, "utf-8", newline="")


def test_pairs_are_read_in_either_direction(tmp_path: Path) -> None:
    write(tmp_path / "a.tsv", "Who?\t¿Quién?\r\n\tempty\nGo!\t¡Ve!\n")
    assert read_pairs(tmp_path, ("a.tsv",), TSV, "en", "es") == [Pair("Who?", "¿Quién?"), Pair("Go!", "¡Ve!")]
    assert read_pairs(tmp_path, ("a.tsv",), TSV, "es", "en")[0] == Pair("¿Quién?", "Who?")


def test_a_line_separator_inside_a_sentence_does_not_end_it(tmp_path: Path) -> None:
    write(tmp_path / "a.tsv", "one\u2028two\tuno\x85dos\n")
    assert read_pairs(tmp_path, ("a.tsv",), TSV, "en", "es") == [Pair("one\u2028two", "uno\x85dos")]


def test_parallel_files_are_read_line_by_line(tmp_path: Path) -> None:
    write(tmp_path / "a.en", "one\ntwo\n")
    write(tmp_path / "a.de", "eins\nzwei\n")
    pairs = read_pairs(tmp_path, ("a.{language}",), PARALLEL, "en", "de")
    assert pairs == [Pair("one", "eins"), Pair("two", "zwei")]


def test_parallel_files_of_different_length_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "a.en", "one\ntwo\n")
    write(tmp_path / "a.de", "eins\n")
    with pytest.raises(DataError, match=r"2 lines and .* 1; expected as many"):
        read_pairs(tmp_path, ("a.{language}",), PARALLEL, "en", "de")


def test_labels_are_read_from_columns(tmp_path: Path) -> None:
    write(tmp_path / "a.tsv", "good\tI like it\n")
    data = LabelledData(train=("a.tsv",), dev=("a.tsv",))
    assert read_labelled(tmp_path, ("a.tsv",), data) == [Labelled("I like it", "good")]


def test_a_list_of_words_becomes_a_text(tmp_path: Path) -> None:
    write(tmp_path / "a.jsonl", json.dumps({"intent": "Play", "tokens": ["play", "it"], "slots": []}) + "\n")
    assert read_labelled(tmp_path, ("a.jsonl",), JSONL) == [Labelled("play it", "Play")]


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("{", "is not JSON"),
        ("[]", "expected an object with tokens and intent"),
        ('{"intent": 1}', "expected an object"),
    ],
)
def test_a_wrong_line_is_named_by_its_number(tmp_path: Path, line: str, complaint: str) -> None:
    write(tmp_path / "a.jsonl", '{"intent": "x", "tokens": "y"}\n' + line + "\n")
    with pytest.raises(DataError, match=rf"a\.jsonl:2: .*{complaint}"):
        read_labelled(tmp_path, ("a.jsonl",), JSONL)


def test_a_row_with_a_column_too_many_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "a.tsv", "a\tb\tc\n")
    with pytest.raises(DataError, match=r"a\.tsv:1: 3 columns, expected 2"):
        read_pairs(tmp_path, ("a.tsv",), TSV, "en", "es")


def test_a_language_without_a_column_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no column 'de' among data\.columns: en, es"):
        read_pairs(tmp_path, ("a.tsv",), TSV, "de", "en")


def test_bytes_that_are_not_utf8_and_missing_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_bytes(b"\xff\tx\n")
    with pytest.raises(DataError, match="is not UTF-8"):
        read_pairs(tmp_path, ("a.tsv",), TSV, "en", "es")
    with pytest.raises(DataError, match=r"b\.tsv: cannot be read"):
        read_pairs(tmp_path, ("b.tsv",), TSV, "en", "es")


def test_files_without_examples_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "a.tsv", "\t\n")
    with pytest.raises(DataError, match=r"no examples in a\.tsv"):
        read_pairs(tmp_path, ("a.tsv",), TSV, "en", "es")
