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


def test_a_text_of_several_sentences_is_translated_sentence_by_sentence(seqserve: Seqserve) -> None:
    parts = ["The cat.", "Play some jazz."]
    alone = [seqserve("translate", "--to", "de", "--whole", part).out.strip() for part in parts]
    told = json.loads(seqserve("translate", "--to", "de,fr", "--json", " ".join(parts)).out)
    assert (told["translations"]["de"], told["num_readings"]) == (" ".join(alone), 2)
    whole = json.loads(seqserve("translate", "--to", "de,fr", "--json", "--whole", " ".join(parts)).out)
    assert whole["num_readings"] == 1


def test_more_sentences_than_fit_into_a_request_are_as_well(seqserve: Seqserve) -> None:
    told = json.loads(seqserve("translate", "--to", "de,fr", "--json", "The cat. " * 300).out)
    assert told["num_readings"] == 300


def test_hypotheses_are_shown_for_one_sentence_after_the_other(seqserve: Seqserve) -> None:
    ran = seqserve("translate", "--to", "de", "--beam", "2", "--hypotheses", "2", "The cat. Play some jazz.")
    assert ran.out.count("score") == 2
