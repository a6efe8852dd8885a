"""What is learned from the data before training begins, and kept beside the weights in a run's folder and a bundle."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from service.bundle.features import FeatureSpec, features_json, parse_features
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
    features: FeatureSpec | None = None
    """What the input is, where it is not text."""

    @classmethod
    def read(cls, folder: Path) -> "Vocabulary":
        """What of it lies in `folder`."""
        tokenizer, features = folder / "tokenizer.json", folder / "features.json"
        return cls(
            tokenizer_from_file(tokenizer) if tokenizer.exists() else None,
            _names(folder / "labels.txt"),
            _names(folder / "text_labels.txt"),
            parse_features(features.read_bytes()) if features.exists() else None,
        )

    def files(self) -> dict[str, str]:
        """Name and content of each file that `read` reads."""
        files = {}
        if self.subwords is not None:
            files["tokenizer.json"] = self.subwords.to_json()
        for name, labels in (("labels.txt", self.labels), ("text_labels.txt", self.text_labels)):
            if labels:
                files[name] = "".join(f"{label}\n" for label in labels)
        if self.features is not None:
            files["features.json"] = features_json(self.features)
        return files

    @property
    def tokenizer(self) -> Tokenizer:
        """That of a task that has text."""
        assert self.subwords is not None, "a task without text has no tokenizer"
        return self.subwords

    @property
    def spec(self) -> FeatureSpec:
        """Of a task that has features."""
        assert self.features is not None, "a task of text has no features"
        return self.features


def _names(path: Path) -> tuple[str, ...]:
    return tuple(path.read_text("utf-8").splitlines()) if path.exists() else ()
