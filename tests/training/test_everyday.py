"""What `training/recipes/everyday.py` writes to be learned from has nothing in common with what is tested on."""

import random
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "training" / "recipes" / "everyday.py"

everyday: Any = runpy.run_path(str(SCRIPT))  # a script, beside the recipes that want its data

TRAIN = [(f"Sentence {number}.", f"Frase número {number}.") for number in range(400)]
HELD_BACK = {
    "dev": [
        ("Hello there, all!", "¡HOLA!")
    ],  # the Spanish of "Hello.", "Hi." and others, however it is typed
    "test": [("thank you very much", "Se lo agradezco.")],
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, pairs in {"train": TRAIN, **HELD_BACK}.items():
        (tmp_path / f"{name}.tsv").write_text("".join(f"{en}\t{es}\n" for en, es in pairs), "utf-8")
    return tmp_path


def written(folder: Path, source: str, target: str) -> list[list[str]]:
    out = folder / "made" / f"{source}-{target}.tsv"
    subprocess.run([sys.executable, str(SCRIPT), str(folder), source, target, str(out)], check=True)
    return [line.split("\t") for line in out.read_text("utf-8").splitlines()]


@pytest.mark.parametrize(("source", "target"), [("es", "en"), ("en", "es")])
def test_nothing_of_dev_and_test_is_learned_however_it_is_typed(
    folder: Path, source: str, target: str
) -> None:
    rows = written(folder, source, target)
    assert rows == written(folder, source, target), "the same each time"
    kept_back = {everyday["words"](side) for pairs in HELD_BACK.values() for pair in pairs for side in pair}
    plain = {everyday["unaccented"](side) for side in kept_back}
    for row in rows:
        assert len(row) == 2
        for side in row:
            assert everyday["words"](side) not in kept_back
            assert everyday["unaccented"](everyday["words"](side)) not in plain
    sides = {side for row in rows for side in row}
    assert {"Good morning.", "Buenos días."} <= sides
    assert sum("Frase número" in es for _, es in rows) + sum("frase" in es.lower() for _, es in rows) > 50


def test_each_source_has_one_meaning(folder: Path) -> None:
    for source, target, column in (("es", "en", 1), ("en", "es", 0)):
        meanings: dict[str, set[str]] = {}
        for row in written(folder, source, target):
            meanings.setdefault(row[column], set()).add(row[1 - column])
        several = {given: found for given, found in meanings.items() if len(found) > 1}
        assert not {given for given in several if given[0].isupper() and "." in given}


@pytest.mark.parametrize(
    ("text", "bare", "typed"),
    [
        ("¿Dónde está el baño?", False, "dónde está el baño"),
        ("¿Dónde está el baño?", True, "donde esta el bano"),
        ("I'm hungry.", True, "im hungry"),
        ("It's 3.5 km.", False, "it's 3.5 km"),
    ],
)
def test_what_is_typed_in_haste(text: str, bare: bool, typed: str) -> None:
    assert everyday["hasty"](text, bare=bare) == typed


def test_several_sentences_have_the_meanings_of_all(folder: Path) -> None:
    pairs = list(everyday["read"](folder / "train.tsv", 1))
    joined = [pair for pair in everyday["varied"](pairs, random.Random(1)) if pair[0].count(".") > 1]
    assert joined
    for source, target in joined:
        numbers = [
            [word for word in side.replace(".", "").split() if word.isdigit()] for side in (source, target)
        ]
        assert numbers[0] == numbers[1]
