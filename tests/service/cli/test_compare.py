import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.toy_bundles import write_toy_translator
from tests.fakes.toy_thread import toys_on_a_thread
from tests.service.cli.conftest import Seqserve

PAIRS = "uno dos\tone two\ntres\tthree\ncuatro cinco seis\tfour five seven\n"


@pytest.fixture
def ask(bare: Seqserve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Seqserve]:
    models = tmp_path / "models"
    write_toy_translator(models, "another")
    with toys_on_a_thread(models) as toys:
        monkeypatch.setenv("SEQSERVE_ADDRESS", toys.server.address)
        yield bare


@pytest.fixture
def pairs(tmp_path: Path) -> str:
    (tmp_path / "test.tsv").write_text(PAIRS)
    return str(tmp_path / "test.tsv")


def test_models_stand_side_by_side_and_equal_ones_are_no_better(ask: Seqserve, pairs: str) -> None:
    arguments = ("compare", "--models", "toy-es-en,another", "--columns", "es,en", "--samples", "100", pairs)
    ran = ask(*arguments)
    assert ran.code == 0
    header, first, second = ran.lines
    assert header.split() == ["model", "BLEU", "95", "of", "100", "difference", "p", "tokens/s"]
    assert first.split()[:2] == ["toy-es-en/1", second.split()[1]]
    assert second.split()[5:7] == ["+0.00", "1.000"]
    told = [json.loads(line) for line in ask(*arguments, "--json").lines]
    assert [one["model"] for one in told] == ["toy-es-en/1", "another/1"]
    assert told[1]["low"] <= told[1]["score"] <= told[1]["high"]


@pytest.mark.parametrize(
    ("models", "says"),
    [
        ("toy-es-en", "two or more names, none twice"),
        ("toy-es-en,toy-es-en", "two or more names, none twice"),
        ("toy-es-en,nobody", "no model is called 'nobody'"),
    ],
)
def test_what_cannot_be_compared_is_told(ask: Seqserve, pairs: str, models: str, says: str) -> None:
    ran = ask("compare", "--models", models, "--columns", "es,en", pairs)
    assert ran.code != 0
    assert says in ran.err


def test_models_of_several_tasks_are_measured_in_different_ways(ask: Seqserve, pairs: str) -> None:
    ran = ask(
        "compare",
        "--models",
        "toy-es-en,toy-intents",
        "--columns",
        "es,en",
        "--text",
        "es",
        "--label",
        "en",
        pairs,
    )
    assert (ran.code, "different ways: BLEU, accuracy" in ran.err) == (1, True)
