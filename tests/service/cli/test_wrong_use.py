"""Commands as they are mistyped, misfed and cut short: a line or two says what to do, never a traceback."""

import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from seqserve.v1.model_pb2 import TASK_PREDICT, ModelDescription
from service.bundle.columns import Columns
from service.cli.decoding import CHOICES
from service.cli.wording import FLAGS, in_words
from service.client.options import Decoding
from service.errors import InvalidInput
from tests.fakes.failures import not_found, wrong
from tests.fakes.fake_service import TRANSLATOR, FakeService
from tests.service.cli.conftest import Seqserve
from tests.service.cli.process import COMMAND, Process


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("translate", "hola", "--file", "letters.txt"), "cannot be read at once"),
        (("classify", "hm", "--file", "letters.txt"), "cannot be read at once"),
        (("translate", "hola", "--wait", "3"), "add --live"),
        (("translate", "hola", "--live", "--beam", "4", "--seed", "1"), "leave out --beam, --seed"),
        (("translate", "hola", "--live", "--to", "de,fr"), "one language"),
        (("transcribe", "--live", "one.wav", "two.wav"), "one file at a time"),
        (("models", "--address", "127.0.0.1:many"), "HOST:PORT"),
        (("serve", "--workers", "many"), "or auto"),
        (("models", "--address", "127.0.0.1:65536"), "HOST:PORT"),
        (("models", "--address", ":50051"), "HOST:PORT"),
    ],
)
def test_what_does_not_go_together_is_refused_and_not_left_out(
    seqserve: Seqserve, arguments: tuple[str, ...], says: str
) -> None:
    ran = seqserve(*arguments)
    assert (ran.code, ran.out, says in ran.err) == (2, "", True), ran.err


@pytest.mark.parametrize("inside", ["", "hola", "hola/1"])
def test_a_folder_in_a_files_place_is_refused_with_the_command_that_serves_it(
    seqserve: Seqserve, tmp_path: Path, inside: str
) -> None:
    bundle = tmp_path / "my models" / "hola" / "1"
    bundle.mkdir(parents=True)
    (bundle / "manifest.json").touch()
    ran = seqserve("serve", str(tmp_path / "my models" / inside))
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.endswith(f": seqserve serve --models '{tmp_path / 'my models'}'\n")


def test_a_folder_is_no_file_to_import(seqserve: Seqserve, tmp_path: Path) -> None:
    ran = seqserve("import", str(tmp_path))
    assert (ran.code, ran.out, ran.err) == (2, "", f"seqserve: {tmp_path} is a folder, not an ONNX file\n")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("translate", "--live", "--model", "questions", "hola"), "wants task translate"),
        (("classify", "--live", "--model", "capitals", "hola"), "wants task classify"),
        (("tag", "--live", "--model", "questions", "hola"), "seqserve models --task tag"),
        (("chat", "--model", "questions"), "wants task chat"),
        (("predict", "--model", "questions"), "wants task predict"),
        (("transcribe", "--live", "--model", "questions"), "wants task transcribe"),
    ],
)
def test_a_model_of_another_task_is_refused_before_a_session_is_opened(
    seqserve: Seqserve, fake: FakeService, arguments: tuple[str, ...], says: str
) -> None:
    ran = seqserve(*arguments)
    assert (ran.code, ran.out, says in ran.err) == (1, "", True), ran.err
    assert len(fake.requests) == 1


def test_sound_that_is_not_there_is_told_with_how_to_give_it(seqserve: Seqserve, fake: FakeService) -> None:
    ran = seqserve("transcribe", stdin=b"")
    assert (ran.code, ran.err) == (
        2,
        "seqserve: nothing to hear: name a WAVE file, or pipe sound to --live\n",
    )
    assert fake.requests == []


def test_every_field_of_decoding_has_an_option() -> None:
    assert {field for field, _ in CHOICES.values()} == Decoding.__annotations__.keys()
    assert FLAGS["no_repeat_ngram_size"] == "--no-repeat-ngram"


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("options.beam_size must be 1 to 16, not 0", "--beam must be 1 to 16, not 0"),
        ("options.num_hypotheses must be 1 to 1 (beam_size)", "--hypotheses must be 1 to 1 (--beam)"),
        ("options.seed is too large", "--seed is too large"),
        ("the seed of options.unknown", "the seed of options.unknown"),
        ("models[1] is en-de/1 once more", "--to asks for en-de/1 twice"),
        ("several models fit: a, b; name one of them", "choose one with --model"),
        ("texts[3] is empty", "line 4 is empty"),
    ],
)
def test_options_are_called_as_on_the_command_line(theirs: str, ours: str) -> None:
    assert ours in in_words(ValueError(theirs), "line 4")


def test_columns_that_are_missing_are_named() -> None:
    with pytest.raises(InvalidInput, match="names no CO2, HumidityRatio; expected Temperature, CO2, Hum"):
        Columns.of("Temperature,Humidity", ["Temperature", "CO2", "HumidityRatio"])


def test_a_column_whose_name_leaves_its_unit_open_is_explained(
    seqserve: Seqserve, monkeypatch: pytest.MonkeyPatch
) -> None:
    readings = ModelDescription(
        model=TRANSLATOR, task=TASK_PREDICT, feature_names=["Humidity", "HumidityRatio"]
    )
    monkeypatch.setattr("tests.fakes.fake_service.DESCRIPTIONS", [readings])
    assert "Humidity, HumidityRatio (kg of water vapour" in seqserve("models", TRANSLATOR.name).out


def test_a_request_that_is_wrong_is_the_caller_s_fault(seqserve: Seqserve, fake: FakeService) -> None:
    fake.failures = [wrong("options.beam_size", "options.beam_size must be 1 to 16, not 0")]
    ran = seqserve("translate", "hola")
    assert (ran.code, ran.err) == (2, "seqserve: --beam must be 1 to 16, not 0\n")


def test_at_the_prompt_what_no_other_text_would_mend_ends_it(process: Process, fake: FakeService) -> None:
    fake.failures = [not_found("model", "nope")]
    ran = process.at_terminal("translate", "--model", "nope", typed=[("text> ", "hola\n")])
    assert (ran.code, ran.out.count("text> ")) == (1, 1)


@pytest.mark.parametrize("line", ["a\rb", '"' + "x" * 200_000])
def test_a_line_that_is_no_csv_is_refused(line: str) -> None:
    with pytest.raises(InvalidInput, match="not a line of CSV"):
        Columns.of(line, ["value"])


@pytest.mark.parametrize("command", ["models", "--help"])
def test_a_full_disk_is_told(process: Process, command: str) -> None:
    with open("/dev/full", "wb") as full:
        ran = subprocess.run(
            [*COMMAND, command], stdout=full, stderr=subprocess.PIPE, env=process.environment
        )
    assert (ran.returncode, ran.stderr.count(b"\n")) == (1, 1)
    assert b"No space left on device" in ran.stderr


def test_help_is_written_in_the_characters_that_there_are(process: Process) -> None:
    process.environment["PYTHONIOENCODING"] = "ascii"
    ran = process("translate", "--help")
    assert (ran.code, ran.err, "?D?nde" in ran.out) == (0, "", True)


def test_a_reader_who_leaves_during_help_ends_it_as_any_other_command(process: Process) -> None:
    with process.start("translate", "--help") as running:
        assert running.stdout
        running.stdout.close()
        assert running.wait(60) == 141


@pytest.mark.parametrize(("arguments", "closed"), [("translate hola", 0), ("models", 1)])
def test_closed_streams_do_not_matter(process: Process, arguments: str, closed: int) -> None:
    command = f"{' '.join(COMMAND)} {arguments} {'<' if closed == 0 else '>'}&-"
    ran = subprocess.run(["sh", "-c", command], capture_output=True, env=process.environment, timeout=60)
    assert (ran.returncode, ran.stderr) == (0, b"")
    assert ran.stdout == (b"HOLA\n" if arguments == "translate hola" else b"")


def test_ctrl_c_before_anything_was_done_is_no_traceback(tmp_path: Path, process: Process) -> None:
    (tmp_path / "typer.py").write_text("import os, signal; os.kill(os.getpid(), signal.SIGINT)")
    process.environment["PYTHONPATH"] = f"{tmp_path}{os.pathsep}{process.environment['PYTHONPATH']}"
    ran = process("models")
    assert (ran.code, ran.out, ran.err) == (128 + signal.SIGINT, "", "")


def test_a_narrow_terminal_keeps_whole_names_and_leaves_columns_out(process: Process) -> None:
    process.environment["COLUMNS"] = "40"
    shown = re.sub(r"\x1b\[[0-9;]*m", "", process.at_terminal("models").out)
    header, *rows = shown.splitlines()
    assert header.split() == ["model", "version", "task", "languages"]
    assert [row.split()[0] for row in rows if row] == ["capitals", "questions"]


def test_help_tells_what_holds_where_an_option_is_left_out(bare: Seqserve) -> None:
    told = " ".join(bare("serve", "--help").out.replace("│", " ").split())
    for default in ("127.0.0.1", "50051", "models", "none", "1", "64", "info", "console"):
        assert f"[default: {default}]" in told
