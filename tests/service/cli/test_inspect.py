import json
from pathlib import Path

import pytest

from tests.bundles import write_classifier, write_language_model, write_translator
from tests.service.cli.conftest import Seqserve
from tests.service.cli.process import ROOT, Process

TRACED = {"traces": True}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    write_classifier(folder, "intents", export=TRACED)
    write_classifier(folder, "plain")
    write_translator(folder, "translator", export=TRACED)
    write_language_model(folder, "verse", export=TRACED)
    return folder


@pytest.fixture
def inspect(bare: Seqserve, models: Path, monkeypatch: pytest.MonkeyPatch) -> Seqserve:
    monkeypatch.setenv("SEQSERVE_MODELS__REPOSITORY", str(models))
    return bare


def test_a_bundle_is_shown_with_its_graphs_and_what_a_session_takes(inspect: Seqserve) -> None:
    ran = inspect("inspect", "translator")
    assert ran.code == 0
    assert "translator 1: translate es → en" in ran.out
    assert "320 B a session, and 288 B for each input read" in ran.out
    for part in ("encode  encode.onnx", "step  step.onnx", "batch × source × 40", "top_log_probs"):
        assert part in ran.out
    assert "trace_" not in ran.out
    assert "encoder_f_0" in ran.out


def test_a_bundle_is_found_by_its_folder_too_and_told_to_machines(inspect: Seqserve, models: Path) -> None:
    told = json.loads(inspect("inspect", str(models / "intents" / "1"), "--json").out)
    assert (told["name"], told["task"], told["state_bytes"]) == ("intents", "classify", 24 * 4 * 3)


def test_attention_is_drawn_of_what_is_written(inspect: Seqserve) -> None:
    told = json.loads(inspect("inspect", "translator", "the", "cat", "--json").out)
    [matrix] = told["matrices"]
    assert matrix["title"].startswith("attention")
    assert matrix["columns"][-1] == "⏎"
    assert all(abs(sum(row) - 1) < 1e-3 for row in matrix["values"])
    assert len(matrix["rows"]) == len(matrix["values"])


def test_gates_are_drawn_of_a_model_without_attention(inspect: Seqserve) -> None:
    ran = inspect("inspect", "intents", "play some jazz", "--units", "0-2,5")
    assert [line for line in ran.lines if " of " in line] == [
        "encoder_f_0: forget gate of 4 units",
        "encoder_c_0: cell of 4 units",
    ]


def test_what_to_look_at_can_be_named(inspect: Seqserve) -> None:
    arguments = (
        "inspect",
        "translator",
        "the cat",
        "--look-at",
        "encoder_o_0_reverse",
        "--units",
        "3",
        "--json",
    )
    [matrix] = json.loads(inspect(*arguments).out)["matrices"]
    assert (matrix["title"], matrix["rows"]) == ("encoder_o_0_reverse: output gate of 1 units", ["3"])
    assert all(0 <= value <= 1 for value in matrix["values"][0])


def test_units_that_tell_kinds_of_characters_are_chosen(inspect: Seqserve) -> None:
    asked = ("inspect", "verse", "The cat", "--look-at", "encoder_f_0", "--json", "--units")
    [chosen] = json.loads(inspect(*asked, "telling").out)["matrices"]
    [every] = json.loads(inspect(*asked, "0-63").out)["matrices"]
    assert len(every["rows"]) == 32
    assert chosen["title"] == "encoder_f_0: forget gate of the 6 units that tell most"
    falls = {
        row: (sum(values) - values[3]) / 6 - values[3]
        for row, values in zip(every["rows"], every["values"], strict=True)
    }
    assert chosen["rows"][:3] == sorted(falls, key=lambda row: -falls[row])[:3], "of the space"
    assert len(set(chosen["rows"])) == 6
    assert all(
        every["values"][int(row)] == values
        for row, values in zip(chosen["rows"], chosen["values"], strict=True)
    )


def test_a_picture_is_drawn(inspect: Seqserve, tmp_path: Path) -> None:
    picture = tmp_path / "gates.png"
    assert inspect("inspect", "intents", "play $ome jazz", "--png", str(picture)).code == 0
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("nobody",), "there are: intents/1, plain/1, translator/1, verse/1"),
        (("plain", "play"), "export it again with export.traces = true"),
        (("intents", "play", "--look-at", "encoder_q_0"), "it has encoder_i_0, encoder_f_0"),
        (("intents", "play", "--units", "a-b"), "numbers and ranges such as 0-15,40"),
        (("intents", "--png", "x.png"), "give one"),
        (("intents", "play", "--png", "/nowhere/x.png"), "cannot be written"),
    ],
)
def test_what_cannot_be_done_says_what_could(
    inspect: Seqserve, arguments: tuple[str, ...], says: str
) -> None:
    ran = inspect("inspect", *arguments)
    assert ran.code == 2
    assert says in ran.err


def test_no_color_is_heeded_at_a_terminal(models: Path) -> None:
    process = Process()
    asked = ("inspect", "translator", "the cat", "--models", str(models))
    without = process.at_terminal(*asked)
    del process.environment["NO_COLOR"]
    assert (without.code, "\x1b[48" in without.out) == (0, False)
    assert "\x1b[48" in process.at_terminal(*asked).out


def test_a_model_that_reads_no_text_is_not_given_one(bare: Seqserve) -> None:
    ran = bare("inspect", "nab", "hello", "--models", str(ROOT / "models"))
    assert (ran.code, ran.err) == (2, "seqserve: nab reads no text: its task is predict\n")


def test_units_that_are_none_are_refused(inspect: Seqserve) -> None:
    ran = inspect("inspect", "verse", "the cat", "--units", "3-1")
    assert (ran.code, "such as 0-15,40, not '3-1'" in ran.err) == (2, True)
