from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.toy_thread import toys_on_a_thread
from tests.service.cli.conftest import Seqserve
from training.evaluate import nearest_to

PAIRS = "uno dos\twrong\ntres\talso wrong\n"


@pytest.fixture
def ask(bare: Seqserve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Seqserve]:
    with toys_on_a_thread(tmp_path / "models") as toys:
        monkeypatch.setenv("SEQSERVE_ADDRESS", toys.server.address)
        yield bare


def written(ask: Seqserve, tmp_path: Path, content: str, *arguments: str) -> list[str]:
    (tmp_path / "train.tsv").write_text(content)
    ran = ask("distill", "--model", "toy-es-en", *arguments, str(tmp_path / "train.tsv"))
    assert ran.code == 0
    return [line for line in ran.lines if "\t" in line]


def test_targets_are_what_the_teacher_writes_in_the_columns_of_the_file(
    ask: Seqserve, tmp_path: Path
) -> None:
    assert written(ask, tmp_path, PAIRS, "--columns", "es,en", "--beam", "1") == [
        "uno dos\tone two",
        "tres\tthree",
    ]
    turned = "".join(
        f"{target}\t{source}\n" for source, target in (line.split("\t") for line in PAIRS.splitlines())
    )
    assert written(ask, tmp_path, turned, "--columns", "en,es", "--beam", "1") == [
        "one two\tuno dos",
        "three\ttres",
    ]


def test_of_several_outputs_the_nearest_is_taken(ask: Seqserve, tmp_path: Path) -> None:
    assert (
        nearest_to("the old cat sat", ["a dog ran", "the cat sat", "the old cat sat down"])
        == "the old cat sat down"
    )
    first = written(ask, tmp_path, "uno dos\tone two\n", "--columns", "es,en", "--nearest")
    assert first == ["uno dos\tone two"]


def test_only_translators_teach(ask: Seqserve, tmp_path: Path) -> None:
    (tmp_path / "train.tsv").write_text(PAIRS)
    ran = ask("distill", "--model", "toy-intents", str(tmp_path / "train.tsv"))
    assert (ran.code, "toy-intents does not translate" in ran.err) == (2, True)
