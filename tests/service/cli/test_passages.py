"""Texts of several sentences: `seqserve translate` asks for each, and puts the answers together again."""

import json
from collections.abc import Iterable

import pytest

from seqserve.v1.sequence_pb2 import StreamTranslateRequest, TranslateRequest
from tests.fakes.failures import REFUSED
from tests.fakes.fake_service import FakeService
from tests.service.cli.conftest import Seqserve
from tests.service.cli.process import Process

PARAGRAPH = "Me llamo Juan.  Vivo en Madrid. ¿Y el Sr. Pérez?"
SENTENCES = ["Me llamo Juan.", "Vivo en Madrid.", "¿Y el Sr. Pérez?"]


def asked(requests: Iterable[object]) -> list[str]:
    """Texts, sorted: requests that are under way together come in any order."""
    found = [request for request in requests if isinstance(request, TranslateRequest)]
    return sorted(text for request in found for text in request.texts)


def test_each_sentence_is_a_text_and_the_answer_is_one_line(seqserve: Seqserve, fake: FakeService) -> None:
    ran = seqserve("translate", PARAGRAPH)
    assert (ran.code, ran.out, ran.err) == (0, PARAGRAPH.upper() + "\n", "")
    assert asked(fake.requests) == sorted(SENTENCES)


@pytest.mark.parametrize("text", ["hola mundo", " El Sr. Pérez vino.  ", "3.5 euros. y ya"])
def test_a_text_of_one_sentence_is_asked_about_as_it_stands(
    seqserve: Seqserve, fake: FakeService, text: str
) -> None:
    seqserve("translate", "--model", "capitals", "--beam", "2", text)
    seqserve("translate", "--model", "capitals", "--beam", "2", "--whole", text)
    cut, whole = fake.requests
    assert cut == whole
    assert asked([cut]) == [text]


def test_whole_texts_are_not_cut(seqserve: Seqserve, fake: FakeService) -> None:
    assert seqserve("translate", "--whole", PARAGRAPH).code == 0
    assert seqserve("translate", "--whole", stdin=PARAGRAPH.encode()).code == 0
    assert asked(fake.requests) == [PARAGRAPH, PARAGRAPH]


@pytest.mark.parametrize(
    "option", [("--prefix", "I"), ("--stop", "!"), ("--min-length", "2"), ("--max-length", "9")]
)
def test_nor_where_the_whole_output_is_spoken_of(
    seqserve: Seqserve, fake: FakeService, option: tuple[str, str]
) -> None:
    assert seqserve("translate", *option, PARAGRAPH).code == 0
    assert asked(fake.requests) == [PARAGRAPH]


def test_a_line_of_a_pipe_is_a_line_of_the_answer(seqserve: Seqserve, fake: FakeService) -> None:
    lines = ["Uno. Dos.", "", "tres", "  Cuatro. Cinco.\tSeis. ", "siete"]
    ran = seqserve("translate", stdin="\n".join(lines).encode())
    assert ran.lines == ["UNO. DOS.", "", "TRES", "CUATRO. CINCO.\tSEIS.", "SIETE"]
    assert asked(fake.requests) == sorted(["Uno.", "Dos.", "tres", "Cuatro.", "Cinco.", "Seis.", "siete"])


def test_thousands_of_sentences_keep_their_order_and_go_many_at_once(
    seqserve: Seqserve, fake: FakeService
) -> None:
    lines = [f"Línea {number}. Fin." if number % 3 else "nada" for number in range(2000)]
    ran = seqserve("translate", stdin="\n".join(lines).encode())
    assert ran.lines == [line.upper() for line in lines]
    assert len(fake.requests) < 300


def test_a_line_is_answered_while_the_pipe_is_still_open(process: Process) -> None:
    running = process.start("translate")
    assert running.stdin
    assert running.stdout
    running.stdin.write(b"Uno. Dos.\n")
    running.stdin.flush()
    assert running.stdout.readline() == b"UNO. DOS.\n"
    running.communicate()
    assert running.returncode == 0


def test_a_refused_sentence_is_told_by_its_line(seqserve: Seqserve) -> None:
    ran = seqserve("translate", stdin=f"Uno. Dos.\n\nTres. {REFUSED}\nCuatro.\n".encode())
    assert (ran.code, ran.out, ran.err) == (2, "UNO. DOS.\n", "seqserve: line 3 is refused\n")
    alone = seqserve("translate", f"Tres. {REFUSED}")
    assert (alone.code, alone.out, alone.err) == (2, "", "seqserve: the text is refused\n")


def test_a_blank_text_is_asked_about_as_before(seqserve: Seqserve, fake: FakeService) -> None:
    seqserve("translate", "  ")
    assert asked(fake.requests) == ["  "]


def test_json_tells_of_each_sentence_in_one_line_for_a_text(seqserve: Seqserve) -> None:
    ran = seqserve("translate", "--json", stdin=b"Uno dos. Tres.\nuno\n")
    several, one = map(json.loads, ran.lines)
    assert (several["text"], several["translation"]) == ("Uno dos. Tres.", "UNO DOS. TRES.")
    assert [each["text"] for each in several["sentences"]] == ["Uno dos.", "Tres."]
    assert [each["score"] for each in several["sentences"]] == [-1.0, -0.5]
    assert "score" not in several
    assert several["sentences"][1].keys() == one.keys()
    assert "sentences" not in one


def test_at_a_terminal_one_sentence_is_streamed_after_the_other(process: Process, fake: FakeService) -> None:
    ran = process.at_terminal("translate", "Uno dos.  Tres.")
    assert (ran.code, ran.out) == (0, "UNO DOS.  TRES.\n")
    assert [type(request) for request in fake.requests] == [StreamTranslateRequest] * 2


def test_at_the_prompt_too(process: Process, fake: FakeService) -> None:
    ran = process.at_terminal("translate", typed=[("text> ", "Uno. Dos.\n"), ("text> ", "\x04")])
    assert "\nUNO. DOS.\n" in ran.out
    assert len(fake.requests) == 2
