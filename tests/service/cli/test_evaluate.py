import json
from pathlib import Path

import pytest

from seqserve.v1.sequence_pb2 import TranslateRequest
from tests.fakes.fake_service import FakeService
from tests.service.cli.conftest import Seqserve

PAIRS = "THIS IS THE FIRST SENTENCE\tthis is the first sentence\nAND THIS IS NOT IT\tand this is the other\n"


@pytest.fixture
def pairs(tmp_path: Path) -> str:
    path = tmp_path / "test.tsv"
    path.write_text(PAIRS, encoding="utf-8")
    return str(path)


def test_a_translator_is_measured_in_bleu_with_its_signature(seqserve: Seqserve, pairs: str) -> None:
    ran = seqserve("evaluate", "--model", "capitals", "--columns", "en,es", "--limit", "1", pairs)
    assert ran.code == 0
    first, second, third = ran.lines
    assert first == f"capitals/2 on {pairs}: 1 texts, beam 4"
    assert second.startswith("BLEU 100.00 nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:")
    assert third.endswith("tokens/s")


def test_the_languages_of_the_columns_say_which_is_the_source(
    seqserve: Seqserve, pairs: str, fake: FakeService
) -> None:
    ran = seqserve("evaluate", "--model", "capitals", "--columns", "es,en", "--beam", "2", "--json", pairs)
    assert json.loads(ran.out)["score"] < 20
    asked = [one for one in fake.requests if isinstance(one, TranslateRequest)]
    assert "THIS IS THE FIRST SENTENCE" in [text for one in asked for text in one.texts]
    assert asked[0].options.beam_size == 2


def test_outputs_are_right_as_wholes_where_any_line_of_their_source_has_them(
    seqserve: Seqserve, tmp_path: Path
) -> None:
    path = tmp_path / "said.tsv"
    path.write_text("read\tRED\nread\tREAD\nlead it\tLED\nlead it\tLEED IT\n", "utf-8")
    asked = ("evaluate", "--model", "capitals", "--columns", "es,en", "--measure", "exact", str(path))
    found = json.loads(seqserve(*asked, "--json").out)
    assert (found["metric"], found["score"], found["num_examples"], found["examples"]) == (
        "WER",
        50,
        2,
        "words",
    )
    assert found["more"] == {"token error rate": pytest.approx(33.33)}
    assert "refs:any" in found["signature"]
    assert seqserve(*asked).lines[1].startswith("WER 50.00 % outputs:whole|")


def test_a_measure_that_the_task_has_not_is_refused(seqserve: Seqserve, pairs: str) -> None:
    ran = seqserve("evaluate", "--model", "capitals", "--measure", "speed", pairs)
    assert (ran.code, ran.out) == (2, "")
    assert "there are: bleu, exact" in ran.err


def test_a_classifier_is_measured_in_accuracy(seqserve: Seqserve, tmp_path: Path) -> None:
    path = tmp_path / "test.jsonl"
    rows = [("is it ?", "question"), ("it is", "statement"), ("it was", "question"), ("is ?", "question")]
    lines = [json.dumps({"words": text.split(), "kind": label}) for text, label in rows]
    path.write_text("\n".join(lines), encoding="utf-8")
    saved = tmp_path / "labels.txt"
    ran = seqserve(
        "evaluate",
        "--model",
        "questions",
        "--text",
        "words",
        "--label",
        "kind",
        "--save",
        str(saved),
        str(path),
    )
    assert ran.lines[1] == "accuracy 75.00 % labels:all"
    assert saved.read_text(encoding="utf-8").split() == ["question", "statement", "statement", "question"]


@pytest.mark.parametrize("name", ["none.tsv", "empty.tsv"])
def test_a_test_set_that_is_not_there_or_empty_is_told(seqserve: Seqserve, tmp_path: Path, name: str) -> None:
    (tmp_path / "empty.tsv").write_text("")
    ran = seqserve("evaluate", "--model", "capitals", str(tmp_path / name))
    assert (ran.code, ran.out) == (1, "")
    assert name in ran.err


def test_an_unknown_model_is_told(seqserve: Seqserve, pairs: str) -> None:
    assert seqserve("evaluate", "--model", "nope", pairs).code == 1
