"""What `training/recipes/everyday.py` writes to be learned from has nothing in common with what is tested on."""

import random
import re
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


CALLED = [("Tom saw the dog.", "Tom vio al perro."), ("Mary and Tom ran.", "Mary y Tom corrieron.")] * 200


def test_names_change_on_both_sides_alike() -> None:
    found = list(everyday["renamed"](CALLED, random.Random(1)))
    assert len(found) > 200
    for source, target in found:
        (one,), (other,) = (
            re.findall(pattern, side)
            for pattern, side in (
                (r"^(.+) saw the dog\.$|^(.+) and Tom ran\.$|^Mary and (.+) ran\.$", source),
                (r"^(.+) vio al perro\.$|^(.+) y Tom corrieron\.$|^Mary y (.+) corrieron\.$", target),
            )
        )
        assert one == other
    assert len(set(found)) > 100, "many names"


def test_a_name_that_stands_twice_stays() -> None:
    twice = [("Tom is Tom.", "Tom es Tom."), ("Tomorrow Tom eats.", "Tom come mañana, Tom."), ("Tom!", "Él")]
    assert list(everyday["renamed"](twice * 50, random.Random(1))) == []


def test_who_is_measured_with_is_in_nothing_that_is_learned(folder: Path) -> None:
    (folder / "train.tsv").write_text("".join("\t".join(pair) + "\n" for pair in CALLED), "utf-8")
    strangers = {name for names in everyday["STRANGERS"].values() for name in names}
    assert strangers.isdisjoint({*everyday["WOMEN"], *everyday["MEN"], *everyday["CITIES"]})
    learned = " ".join(side for row in written(folder, "es", "en") for side in row)
    assert strangers.isdisjoint(re.findall(r"\w+", learned))


@pytest.mark.parametrize(
    ("how", "source", "target"),
    [
        ("hasty", "tom vio al perro", "Tom saw the dog."),
        ("bare", "tom vio al perro", "Tom saw the dog."),
        ("shouted", "TOM VIO AL PERRO.", "Tom saw the dog."),
    ],
)
def test_dev_is_typed_otherwise_to_be_measured_on(how: str, source: str, target: str) -> None:
    pair = CALLED[0][::-1]
    assert list(everyday["measured"]([pair], how, random.Random(1))) == [(source, target)]


def test_dev_is_measured_with_strangers_and_with_several_sentences() -> None:
    pairs = [pair[::-1] for pair in CALLED]
    named = list(everyday["measured"](pairs, "named", random.Random(1)))
    assert len(named) == 600, "200 of Tom alone, 200 of Tom beside Mary, 200 of Mary"
    assert all(
        set(re.findall(r"\w+", source)) & set(sum(everyday["STRANGERS"].values(), ())) for source, _ in named
    )
    together = list(everyday["measured"](pairs, "joined", random.Random(1)))
    assert len(together) == everyday["MEASURED_JOINED"]
    assert all(source.count(".") == target.count(".") > 1 for source, target in together)


def test_a_file_to_measure_on_is_written(folder: Path) -> None:
    out = folder / "dev-hasty.tsv"
    subprocess.run(
        [sys.executable, str(SCRIPT), str(folder), "es", "en", str(out), "--measure", "hasty"], check=True
    )
    assert out.read_text("utf-8") == "Hello there, all!\thola\n"
