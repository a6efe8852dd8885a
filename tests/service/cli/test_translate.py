import json
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from seqserve.v1.sequence_pb2 import StreamTranslateRequest, TranslateRequest
from tests.fakes.failures import REFUSED
from tests.fakes.fake_service import FakeService
from tests.service.cli.conftest import Seqserve
from tests.service.cli.process import PATIENCE_S, Process


def test_the_words_of_the_arguments_are_one_text(seqserve: Seqserve, fake: FakeService) -> None:
    ran = seqserve("translate", "--from", "es", "--to", "en", "hola", "mundo")
    assert (ran.code, ran.out, ran.err) == (0, "HOLA MUNDO\n", "")
    (request,) = fake.requests
    assert isinstance(request, TranslateRequest)
    assert (request.model.source_language, request.model.target_language) == ("es", "en")
    assert not request.options.HasField("beam_size")


def test_at_a_terminal_the_tokens_are_streamed_greedily(process: Process, fake: FakeService) -> None:
    ran = process.at_terminal("translate", "hola mundo")
    assert (ran.code, ran.out) == (0, "HOLA MUNDO\n")
    (request,) = fake.requests
    assert isinstance(request, StreamTranslateRequest)
    assert request.options.beam_size == 1


def test_tokens_appear_before_the_text_is_whole(process: Process, fake: FakeService) -> None:
    ran = process.at_terminal("translate", "uno dos", typed=[("UNO", "")])
    assert ran.out.replace("UNO", "").strip() in ("DOS", "")


def test_a_pipe_gives_a_line_for_each_line_and_empty_ones_stay(seqserve: Seqserve) -> None:
    ran = seqserve("translate", stdin=b"uno\n\n  \ndos tres\r\n\x01\ncuatro")
    assert ran.out == "UNO\n\n\nDOS TRES\n\nCUATRO\n"


def test_nothing_in_a_pipe_gives_nothing(seqserve: Seqserve) -> None:
    ran = seqserve("translate", stdin=b"")
    assert (ran.code, ran.out) == (0, "")


def test_thousands_of_lines_keep_their_order(seqserve: Seqserve, fake: FakeService) -> None:
    lines = [f"línea {number}" for number in range(3000)]
    ran = seqserve("translate", stdin="\n".join(lines).encode())
    assert ran.lines == [line.upper() for line in lines]
    assert len(fake.requests) < 300


def test_answers_come_while_the_pipe_is_still_open(process: Process) -> None:
    running = process.start("translate")
    assert running.stdin
    assert running.stdout
    for word in (b"uno\n", b"dos\n"):
        running.stdin.write(word)
        running.stdin.flush()
        assert running.stdout.readline() == word.upper()
    running.communicate()
    assert running.returncode == 0


def test_a_file_is_read_by_name_and_a_byte_order_mark_is_no_text(seqserve: Seqserve, tmp_path: Path) -> None:
    path = tmp_path / "letters.txt"
    path.write_bytes(b"\xef\xbb\xbfuno\ndos\n")
    assert seqserve("translate", "--file", str(path)).out == "UNO\nDOS\n"
    assert seqserve("translate", "--file", "-", stdin=b"tres\n").out == "TRES\n"


def test_json_is_an_object_a_line(seqserve: Seqserve) -> None:
    ran = seqserve("translate", "--json", stdin=b"uno dos\n\n")
    full, empty = map(json.loads, ran.lines)
    assert (full["text"], full["translation"], full["score"]) == ("uno dos", "UNO DOS", -1.0)
    assert full["tokens"][1] == {"piece": " DOS", "id": 1, "log_prob": -0.5}
    assert empty == {"text": "", "translation": "", "score": None, "tokens": []}


def test_bytes_that_are_not_utf_8_are_refused_with_their_line(seqserve: Seqserve) -> None:
    ran = seqserve("translate", stdin=b"uno\ndos \xff\ntres\n")
    assert (ran.code, ran.out) == (2, "UNO\n")
    assert "line 2 is not valid UTF-8: byte 0xff at position 5" in ran.err
    assert "--errors replace" in ran.err
    assert ran.err.count("\n") == 2


def test_in_arguments_and_files_too(seqserve: Seqserve, tmp_path: Path) -> None:
    assert seqserve("translate", b"dos \xed\xa0\x80").code == 2
    path = tmp_path / "latin.txt"
    path.write_bytes("está".encode("latin-1"))
    assert seqserve("translate", "--file", str(path)).code == 2


def test_they_are_replaced_where_that_is_asked_for(seqserve: Seqserve) -> None:
    assert seqserve("translate", "--errors", "replace", stdin=b"dos \xff\n").out == "DOS �\n"


def test_a_refused_line_is_named_and_what_came_before_it_is_printed(seqserve: Seqserve) -> None:
    ran = seqserve("translate", stdin=f"uno\n\n{REFUSED}\ntres\n".encode())
    assert (ran.code, ran.out, ran.err) == (2, "UNO\n", "seqserve: line 3 is refused\n")


def test_a_reader_who_leaves_is_no_error_to_complain_of(process: Process) -> None:
    running = process.start("translate")
    assert running.stdin
    assert running.stdout
    assert running.stderr
    running.stdin.write(b"uno\n" * 100)
    running.stdin.flush()
    running.stdout.readline()
    running.stdout.close()
    with suppress(BrokenPipeError):  # it may have gone already
        running.stdin.write(b"uno\n" * 1000)  # more than it can have answered before the reader left
        running.stdin.close()
    assert running.stderr.read() == b""
    assert running.wait(PATIENCE_S) == 141
    running.stderr.close()


def test_an_interrupt_is_quiet(process: Process, fake: FakeService) -> None:
    running = process.start("translate")
    assert running.stdin
    assert running.stdout
    running.stdin.write(b"uno\n")
    running.stdin.flush()
    running.stdout.readline()
    running.send_signal(signal.SIGINT)
    try:
        assert running.wait(PATIENCE_S) == 130
    except subprocess.TimeoutExpired:
        running.send_signal(signal.SIGABRT)  # it says where it hangs
        pytest.fail(running.communicate()[1].decode())
    assert running.communicate()[1] == b""


def test_at_a_terminal_with_nothing_given_it_asks(process: Process) -> None:
    typed = [("es> ", "uno dos\n"), ("es> ", f"{REFUSED}\n"), ("es> ", "\n"), ("es> ", "\x04")]
    ran = process.at_terminal("translate", "--from", "es", typed=typed)
    assert ran.code == 0
    assert "Ctrl-D ends" in ran.out
    assert "\nUNO DOS\n" in ran.out
    assert "seqserve: the text is refused\n" in ran.out
