import json
from pathlib import Path

import pytest

from training.config import LabelledData, PairData
from training.data.readers import DataError, read_labelled, read_pairs
from training.data.readers.labelled import Labelled
from training.data.readers.pairs import Pair

pytest.importorskip("datasets")

PAIRS = [{"translation": {"es": "uno", "en": "one"}}, {"translation": {"es": "dos", "en": "two"}}]


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "pairs.json").write_text("".join(json.dumps(pair) + "\n" for pair in PAIRS))
    (tmp_path / "labels.csv").write_text("label,text\nask,what is it\n3,play it\n")
    return tmp_path


def pairs(**more: object) -> PairData:
    table = {"format": "datasets", "columns": ["es", "en"], "train": ["x"], "dev": ["x"]}
    return PairData.model_validate(table | more)


def test_pairs_are_read_from_fields_within_fields(root: Path) -> None:
    data = pairs(fields=["translation.es", "translation.en"])
    assert read_pairs(root, ("json:pairs.json",), data, "en", "es") == [
        Pair("one", "uno"),
        Pair("two", "dos"),
    ]


def test_labels_are_read_as_text(root: Path) -> None:
    data = LabelledData.model_validate({"format": "datasets", "train": ["x"], "dev": ["x"]})
    assert read_labelled(root, ("csv:labels.csv",), data) == [
        Labelled("what is it", "ask"),
        Labelled("play it", "3"),
    ]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("json:nothing.json", "there is no such file"),
        ("json:pairs.json", "no field 'es'; there are: translation"),
        ("wmt16/de-en", "wants a split, such as wmt16/de-en#train"),
        ("nobody-has-this/at-all#train", "cannot be read by datasets"),
    ],
)
def test_what_cannot_be_read_is_named_with_the_reason(root: Path, name: str, says: str) -> None:
    with pytest.raises(DataError, match=says):
        read_pairs(root, (name,), pairs(), "es", "en")
