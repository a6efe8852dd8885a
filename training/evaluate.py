"""Test sets, and scores of what a served model made of them. `seqserve evaluate` runs the model."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from training.config import (
    DataSection,
    DescribedData,
    DialogueData,
    LabelledData,
    PairData,
    RecordedData,
    SeriesData,
    SummaryData,
    TaggedData,
    TextData,
    load_recipe,
)
from training.data.perplexity import of_surprise, surprise_of, surprise_of_replies, together
from training.data.readers import (
    Labelled,
    Pair,
    Tagged,
    read_dialogues,
    read_labelled,
    read_pairs,
    read_tagged,
    read_text,
)
from training.data.readers.described import Described, read_described
from training.data.readers.recordings import Utterance, read_split, read_utterances
from training.data.readers.series import Series, read_series
from training.data.rouge import score_rouge
from training.data.scores import (
    BleuScore,
    score_deletions,
    score_labels,
    score_sentence,
    score_spans,
    score_translations,
    score_whole,
    word_error_rate,
)
from training.data.significance import (
    Compared,
    Evidence,
    compare,
    of_forecasts,
    of_labels,
    of_means,
    of_spans,
    of_translations,
    of_words,
)

__all__ = [
    "BleuScore",
    "Compared",
    "Evidence",
    "Pair",
    "columns_of",
    "compare",
    "gathered",
    "label_tokens",
    "nearest_to",
    "of_forecasts",
    "of_labels",
    "of_means",
    "of_spans",
    "of_surprise",
    "of_translations",
    "of_words",
    "read_test_descriptions",
    "read_test_dialogues",
    "read_test_pairs",
    "read_test_recordings",
    "read_test_series",
    "read_test_summaries",
    "read_test_tags",
    "read_test_text",
    "read_test_texts",
    "score_deletions",
    "score_labels",
    "score_rouge",
    "score_spans",
    "score_translations",
    "score_whole",
    "surprise_of",
    "surprise_of_replies",
    "together",
    "word_error_rate",
]

RECIPES = Path(__file__).with_name("recipes")


def read_test_pairs(
    file: Path, model: str | Path, source: str, target: str, columns: tuple[str, ...] = ()
) -> list[Pair]:
    """The pairs of a TSV file; `columns` are the languages left to right, by default those of the model's recipe.

    A name with `{language}` stands for two files, one for each side.
    """
    known = _data_of(model)
    if not columns:
        columns = known.columns if isinstance(known, PairData) else (source, target)
    format: Literal["parallel", "tsv"] = "parallel" if "{language}" in file.name else "tsv"
    data = PairData(format=format, columns=columns, train=("none",), dev=("none",))
    return read_pairs(file.parent, (file.name,), data, source, target)


def gathered(pairs: Sequence[Pair]) -> dict[str, list[str]]:
    """Each source once, with all its targets: lines with the same source are alternatives."""
    found: dict[str, list[str]] = {}
    for pair in pairs:
        found.setdefault(pair.source, []).append(pair.target)
    return found


def columns_of(model: str) -> tuple[str, ...]:
    """The languages of the columns in the recipe of a model of this name; none where there is no such recipe."""
    known = _data_of(model)
    return known.columns if isinstance(known, PairData) else ()


def nearest_to(reference: str, outputs: Sequence[str]) -> str:
    """The output with the highest BLEU of its own; the first of equal ones."""
    return max(outputs, key=lambda text: score_sentence(text, reference))


def read_test_texts(
    file: Path, model: str | Path, columns: tuple[str, ...] = (), text: str = "", label: str = ""
) -> list[Labelled]:
    """The labelled texts of a TSV or JSONL file; what is left out is as in the model's recipe."""
    known = _data_of(model)
    if not isinstance(known, LabelledData):
        known = LabelledData(train=("none",), dev=("none",))
    given = {"columns": columns, "text": text, "label": label}
    changed = {name: value for name, value in given.items() if value}
    format = "jsonl" if file.suffix in {".jsonl", ".json"} else "tsv"
    return read_labelled(file.parent, (file.name,), known.model_copy(update=changed | {"format": format}))


def read_test_text(file: Path, model: str | Path) -> list[str]:
    """The documents of a text; of a file that the model was trained on, the part that its recipe keeps for tests."""
    known = _data_of(model)
    if not isinstance(known, TextData):
        known = TextData(train=("none",), dev=("none",))
    is_split = file.name in {Path(name).name for name in known.train}
    return read_text(file.parent, (file.name,), known, known.test_part if is_split else (0.0, 1.0))


def read_test_dialogues(file: Path, model: str | Path) -> list[list[str]]:
    """The turns of each dialogue of a JSONL file; what its field is called is as in the model's recipe."""
    known = _data_of(model)
    if not isinstance(known, DialogueData):
        known = DialogueData(train=("none",), dev=("none",))
    return read_dialogues(file.parent, (file.name,), known)


def read_test_tags(file: Path, model: str | Path) -> list[Tagged]:
    """The labelled words of a JSONL or column file; what fields are called is as in the model's recipe."""
    known = _data_of(model)
    if not isinstance(known, TaggedData):
        known = TaggedData(train=("none",), dev=("none",))
    format = "jsonl" if file.suffix in {".jsonl", ".json"} else "columns"
    return read_tagged(file.parent, (file.name,), known.model_copy(update={"format": format}))


def label_tokens(tokens: Sequence[str], found: Sequence[tuple[int, str]]) -> list[str]:
    """What labels of words, each with where the word begins in the joined tokens, say of the tokens."""
    labels, start, all_labels = dict(found), 0, []
    for token in tokens:
        all_labels.append(labels.get(start, "O"))
        start += len(token) + 1
    return all_labels


def read_test_summaries(file: Path, model: str | Path) -> list[Pair]:
    """Texts with their summaries, of a TSV or JSONL file; what fields are called is as in the model's recipe."""
    known = _data_of(model)
    names = (known.text, known.summary) if isinstance(known, SummaryData) else ("text", "summary")
    columns = known.columns if isinstance(known, SummaryData) and known.columns else names
    format: Literal["jsonl", "tsv"] = "jsonl" if file.suffix in {".jsonl", ".json"} else "tsv"
    data = PairData(format=format, columns=columns, train=("none",), dev=("none",))
    return read_pairs(file.parent, (file.name,), data, *names)


def read_test_recordings(file: Path, model: str | Path, sample_rate: int) -> list[Utterance]:
    """The recordings of a list (TSV: file and text); or of a folder, what the model's recipe makes its test of."""
    known = _data_of(model)
    if file.is_dir() and isinstance(known, RecordedData):
        data = known.model_copy(update={"dev": (file.name,)})
        return read_split(file.parent, "test", data, sample_rate)
    return read_utterances(file.parent, (file.name,), sample_rate)


def read_test_descriptions(file: Path, model: str | Path) -> list[Described]:
    """Vectors with their descriptions, of a JSONL file; what fields are called is as in the model's recipe."""
    known = _data_of(model)
    data = known if isinstance(known, DescribedData) else DescribedData(train=("none",), dev=("none",))
    return read_described(file.parent, (file.name,), data)


def read_test_series(file: Path, model: str | Path, columns: tuple[str, ...], label: str = "") -> Series:
    """The series of a CSV file; the column of labels is that of the model's recipe, if there is one."""
    known = _data_of(model)
    if not isinstance(known, SeriesData):
        known = SeriesData(columns=columns, train=("none",), dev=("none",))
    data = known.model_copy(update={"columns": columns} | ({"label": label} if label else {}))
    return read_series(file.parent, (file.name,), data)[0]


def _data_of(model: str | Path) -> DataSection | None:
    """Where the recipe in this file, or the shipped one of this name, if there is one, finds what in its files."""
    if isinstance(model, Path):
        return load_recipe(model).data
    path = RECIPES / f"{model}.toml"
    return load_recipe(path).data if path.exists() else None
