"""What is learned from the data before training begins, and kept beside the weights in a run's folder and a bundle."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from service.bundle.tokenizer import Tokenizer
from service.bundle.tokenizers import tokenizer_from_file


@dataclass(frozen=True)
class Vocabulary:
    """How inputs become numbers, and numbers outputs. What a task has no use for is None or empty."""

    subwords: Tokenizer | None = None
    """Text to ids and back."""
    labels: Sequence[str] = ()
    """The names of the classes, by index."""
    text_labels: Sequence[str] = ()
    """Of whole texts, where `labels` are those of words."""

    @classmethod
    def read(cls, folder: Path) -> "Vocabulary":
        """What of it lies in `folder`."""
        tokenizer = folder / "tokenizer.json"
        return cls(
            tokenizer_from_file(tokenizer) if tokenizer.exists() else None,
            _names(folder / "labels.txt"),
            _names(folder / "text_labels.txt"),
        )

    def files(self) -> dict[str, str]:
        """Name and content of each file that `read` reads."""
        files = {}
        if self.subwords is not None:
            files["tokenizer.json"] = self.subwords.to_json()
        for name, labels in (("labels.txt", self.labels), ("text_labels.txt", self.text_labels)):
            if labels:
                files[name] = "".join(f"{label}\n" for label in labels)
        return files

    @property
    def tokenizer(self) -> Tokenizer:
        """That of a task that has text."""
        assert self.subwords is not None, "a task without text has no tokenizer"
        return self.subwords


def _names(path: Path) -> tuple[str, ...]:
    return tuple(path.read_text("utf-8").splitlines()) if path.exists() else ()
