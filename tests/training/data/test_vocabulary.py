from pathlib import Path

import pytest

from training.config import TokenizerSection
from training.data.tokenizers import learn_tokenizer
from training.data.vocabulary import Vocabulary


def test_what_is_written_is_read(tmp_path: Path) -> None:
    tokenizer = learn_tokenizer(["a b c"] * 3, TokenizerSection())
    for name, content in Vocabulary(tokenizer, ("x", "y")).files().items():
        (tmp_path / name).write_text(content, "utf-8")
    found = Vocabulary.read(tmp_path)
    assert found.labels == ("x", "y")
    assert found.tokenizer.to_json() == tokenizer.to_json()


def test_a_task_without_text_has_no_files_of_text(tmp_path: Path) -> None:
    assert Vocabulary.read(tmp_path) == Vocabulary()
    assert Vocabulary().files() == {}
    with pytest.raises(AssertionError, match="no tokenizer"):
        Vocabulary().tokenizer  # noqa: B018
