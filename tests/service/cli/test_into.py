"""`seqserve translate --to de,fr,cs`, against a server with small real models."""

import json
from collections.abc import Iterator

import pytest

from tests.bundles import write_sharers
from tests.fakes.real_thread import real_on_a_thread
from tests.service.cli.conftest import Seqserve


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    models = tmp_path_factory.mktemp("models")
    write_sharers(models, ("de", "fr"))
    with real_on_a_thread(models) as address:
        yield address


def test_a_text_comes_in_each_language_that_was_asked_for(seqserve: Seqserve) -> None:
    alone = {target: seqserve("translate", "--to", target, "the cat").lines[0] for target in ("de", "fr")}
    assert seqserve("translate", "--to", "de,fr", "the cat").lines == [
        f"{target}\t{text}" for target, text in alone.items()
    ]
    told = json.loads(seqserve("translate", "--to", "de, fr", "--json", "the cat").out)
    assert told == {"text": "the cat", "translations": alone, "num_readings": 1}


def test_lines_of_a_pipe_are_translated_one_by_one(seqserve: Seqserve) -> None:
    ran = seqserve("translate", "--to", "fr,de", stdin=b"the cat\n\nplay some jazz\n")
    assert [line.split("\t")[0] for line in ran.lines] == ["fr", "de", "fr", "de"]


def test_a_language_that_nothing_writes_is_refused_with_what_there_is(seqserve: Seqserve) -> None:
    ran = seqserve("translate", "--to", "de,fi", "the cat")
    assert ran.code != 0
    assert "does not translate" in ran.err
