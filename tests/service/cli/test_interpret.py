"""`seqserve translate --live` and `seqserve evaluate --simultaneous`, against a server with a small real model."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bundles import write_interpreter, write_translator
from tests.fakes.real_thread import real_on_a_thread
from tests.service.cli.conftest import Seqserve
from tests.service.cli.process import Process

TEXT = "the cat ¿Dónde está la biblioteca? jazz music"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    models = tmp_path_factory.mktemp("models")
    write_interpreter(models, "live", seed=3)
    write_translator(models, "whole")
    with real_on_a_thread(models) as address:
        yield address


def parts(ran_line: str) -> list[tuple[str, int]]:
    return [(part["written"], part["num_words_read"]) for part in json.loads(ran_line)["parts"]]


def test_a_word_is_written_when_enough_words_have_come(seqserve: Seqserve) -> None:
    ran = seqserve("translate", "--live", "--wait", "3", "--json", TEXT)
    assert ran.code == 0
    found = parts(ran.lines[0])
    assert found[0][1] == 3
    assert len(found) > 2
    assert json.loads(ran.out)["translation"] == "".join(written for written, _ in found)


def test_a_pipe_gives_the_translation_of_each_line_whatever_its_words_came_with(seqserve: Seqserve) -> None:
    alone = seqserve("translate", "--live", TEXT).lines
    piped = seqserve("translate", "--live", stdin=f"{TEXT}\n\n  {TEXT}\nthe cat".encode())
    assert piped.code == 0
    assert piped.out.split("\n")[:3] == [alone[0], "", alone[0]]
    assert len(piped.lines) == 4


def test_at_a_terminal_the_translation_grows_beside_what_is_typed(
    process: Process, seqserve: Seqserve
) -> None:
    [alone] = seqserve("translate", "--live", "--wait", "2", "the cat jazz music").lines
    typed = [("Ctrl-D", "the cat jazzz\x7f"), ("│ ", " music\n"), (alone, "\x04")]
    ran = process.at_terminal("translate", "--live", "--wait", "2", typed=typed)
    assert ran.code == 0
    assert f"the cat jazz music\n  {alone}" in ran.out.replace("\r", "")


def test_a_model_that_reads_whole_texts_only_is_refused_with_the_reason(seqserve: Seqserve) -> None:
    ran = seqserve("translate", "--live", "--model", "whole", TEXT)
    assert ran.code != 0
    assert "whole cannot be fed in a session" in ran.err


def test_where_no_model_fits_the_languages_it_says_which_there_are(seqserve: Seqserve) -> None:
    ran = seqserve("translate", "--live", "--from", "fi", TEXT)
    assert (ran.code, ran.out) == (1, "")
    assert "only es→en (live) is translated there; leave --live out" in ran.err


def test_bleu_and_lag_are_told_for_each_k(seqserve: Seqserve, tmp_path: Path) -> None:
    path = tmp_path / "test.tsv"
    path.write_text(f"{TEXT}\tthe cat jazz\nthe dog runs in the garden\tthe dog runs\n", "utf-8")
    asked = ("evaluate", "-m", "live", "--simultaneous", "--columns", "es,en", "--wait", "1,3,inf", str(path))
    rows = [json.loads(line) for line in seqserve(*asked, "--json").lines]
    assert [row["wait_k"] for row in rows] == [1, 3, 100]
    lags = [(row["more"]["LAAL"], row["more"]["DAL"]) for row in rows]
    assert lags == sorted(lags)
    assert lags[-1] == (7.0, 7.0), "who waits for the end is behind by the whole source"
    told = seqserve(*asked)
    assert told.lines[0].split() == ["k", "BLEU", "LAAL", "DAL", "ms", "per", "word"]
    assert [line.split()[0] for line in told.lines[1:4]] == ["1", "3", "inf"]


def test_what_cannot_be_measured_is_said(seqserve: Seqserve, tmp_path: Path) -> None:
    path = tmp_path / "test.tsv"
    path.write_text("a\tb\n", "utf-8")
    asked = ("evaluate", "--simultaneous", "--columns", "es,en", str(path))
    assert "was not trained to write while" in seqserve(*asked, "-m", "whole").err
    assert "--wait is a list of numbers" in seqserve(*asked, "-m", "live", "--wait", "two").err
