import json

from seqserve.v1.session_pb2 import SessionRequest
from tests.fakes.fake_service import FakeService
from tests.service.cli.conftest import Seqserve
from tests.service.cli.process import Process


def test_a_label_and_its_probability(seqserve: Seqserve) -> None:
    assert seqserve("classify", "is it?").out == "question\t0.7500\n"
    assert seqserve("classify", "--top", "2", "it is").out == "statement\t0.7500\tquestion\t0.2500\n"


def test_a_pipe_gives_a_line_for_each_line(seqserve: Seqserve) -> None:
    assert seqserve("classify", stdin=b"is it?\n\nit is\n").out == "question\t0.7500\n\nstatement\t0.7500\n"


def test_json_is_an_object_a_line(seqserve: Seqserve) -> None:
    full, empty = map(json.loads, seqserve("classify", "--json", stdin=b"is it?\n\n").lines)
    assert (full["text"], full["label"], full["model"]) == ("is it?", "question", "questions/1")
    assert empty["label"] == ""


def test_live_from_a_pipe_labels_after_every_word(seqserve: Seqserve) -> None:
    ran = seqserve("classify", "--live", stdin=b"so it?\n\nit is\n")
    assert ran.lines == [
        "statement\t0.7500\tso",
        "question\t0.7500\tso it?",
        "statement\t0.7500\tit",
        "statement\t0.7500\tit is",
    ]


def test_live_json_says_where_the_session_stands(seqserve: Seqserve) -> None:
    lines = [json.loads(line) for line in seqserve("classify", "--live", "--json", "so", "it?").lines]
    assert [(line["input_position"], line["end_of_input"]) for line in lines] == [(1, False), (2, True)]


def test_live_at_a_terminal_labels_while_somebody_types(process: Process) -> None:
    back = "\x7f"
    typed = [
        ("Ctrl-D", "so it? "),
        ("question 0.75", back * 3),
        ("│ so it", "s so\n"),
        ("so is so\r\n", "\x1b[A"),
        ("", "\x04"),
    ]
    ran = process.at_terminal("classify", "--live", typed=typed)
    assert ran.code == 0
    ended = [row for row in ran.out.split("\x1b[K") if "\n" in row and "│" in row]
    assert [row.split() for row in ended] == [["statement", "0.75", "│", "so", "is", "so"]]


def test_live_takes_the_model_that_is_named(seqserve: Seqserve, fake: FakeService) -> None:
    assert seqserve("classify", "--live", "--model", "questions", "hm").code == 0
    [opening, *_] = [one for one in fake.requests if isinstance(one, SessionRequest)]
    assert opening.open.model.name == "questions"
