"""Test sets, and scores of what a served model made of them. `seqserve evaluate` runs the model."""

from pathlib import Path

from training.config import DataSection, LabelledData, PairData, load_recipe
from training.data.readers import Labelled, Pair, read_labelled, read_pairs
from training.data.scores import BleuScore, score_labels, score_translations

__all__ = ["BleuScore", "read_test_pairs", "read_test_texts", "score_labels", "score_translations"]

RECIPES = Path(__file__).with_name("recipes")


def read_test_pairs(
    file: Path, model: str, source: str, target: str, columns: tuple[str, ...] = ()
) -> list[Pair]:
    """The pairs of a TSV file; `columns` are the languages left to right, by default those of the model's recipe."""
    known = _data_of(model)
    if not columns:
        columns = known.columns if isinstance(known, PairData) else (source, target)
    data = PairData(columns=columns, train=("none",), dev=("none",))
    return read_pairs(file.parent, (file.name,), data, source, target)


def read_test_texts(
    file: Path, model: str, columns: tuple[str, ...] = (), text: str = "", label: str = ""
) -> list[Labelled]:
    """The labelled texts of a TSV or JSONL file; what is left out is as in the model's recipe."""
    known = _data_of(model)
    if not isinstance(known, LabelledData):
        known = LabelledData(train=("none",), dev=("none",))
    given = {"columns": columns, "text": text, "label": label}
    changed = {name: value for name, value in given.items() if value}
    format = "jsonl" if file.suffix in {".jsonl", ".json"} else "tsv"
    return read_labelled(file.parent, (file.name,), known.model_copy(update=changed | {"format": format}))


def _data_of(model: str) -> DataSection | None:
    """Where the recipe of this name, if there is one, finds what in its files."""
    path = RECIPES / f"{model}.toml"
    return load_recipe(path).data if path.exists() else None
