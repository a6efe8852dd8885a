"""Every line of docs/tasks.md, against models of the same names that the exporter made of random weights."""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from service.client import Client
from tests.service.cli.process import ROOT, Process
from tests.system.conftest import Running, serving
from tests.training.signals import tone, write_wav
from training.config import load_recipe

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

PAGE = (ROOT / "docs" / "tasks.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(sh|python)\n(.+?)^```", PAGE, re.MULTILINE | re.DOTALL)
LINES = [line for kind, text in BLOCKS if kind == "sh" for line in text.splitlines() if "seqserve " in line]
ROOM = ("Temperature", "Humidity", "CO2", "HumidityRatio")
PREPARING = ("train", "export", "evaluate", "serve")
"""Commands that want data, or a server of their own: other tests run them."""


def bundles() -> dict[str, Callable[[Path, str], object]]:
    """What is served while the page is read."""
    from tests.bundles import (
        write_captioner,
        write_classifier,
        write_deleter,
        write_hearer,
        write_interpreter,
        write_language_model,
        write_predictor,
        write_sharers,
        write_summarizer,
        write_tagger,
        write_translator,
    )

    two_way = {"hidden": 24, "bidirectional": True}
    return {
        "snips-intents": write_classifier,
        "snips-slots": lambda models, name: write_tagger(models, name, encoder=two_way),
        "snips-slots-live": write_tagger,
        "sentence-compression": write_deleter,
        "headlines": write_summarizer,
        "fsdd-digits": write_hearer,
        "occupancy": lambda models, name: write_predictor(models, name, names=ROOM, labels=True),
        "nab": lambda models, name: write_predictor(models, name, names=("value",)),
        "tatoeba-es-en": write_translator,
        "cmudict": write_translator,
        "shapes": write_captioner,
        "tinyshakespeare": write_language_model,
        "task-dialogues": lambda models, name: write_language_model(models, name, task="chat", seed=1),
        "tatoeba-es-en-simultaneous": write_interpreter,
        "multi30k-en-": lambda models, name: write_sharers(models, ("de", "fr", "cs"), prefix=name),
    }


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files that the page speaks of."""
    write_wav(tmp_path / "said.wav", tone(400, seconds=1.5))
    rows = ["date," + ",".join((*ROOM, "value")), *(f"today,{n},{n},{n},{n},{n * n}" for n in range(30))]
    for name in ("room.csv", "traffic.csv"):
        (tmp_path / name).write_text("\n".join(rows) + "\n")
    (tmp_path / "vectors.jsonl").write_text('{"vector": [1, 2, 3]}\n[0.5, 0, -1]\n')
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    models = tmp_path_factory.mktemp("models")
    for name, write in bundles().items():
        write(models, name)
    with serving(models) as running:
        yield running


def command_of(line: str) -> str:
    """What follows `seqserve`."""
    return re.split(r"\bseqserve ", line)[1].split()[0]


@pytest.mark.parametrize("line", [line for line in LINES if command_of(line) not in PREPARING])
def test_a_command_of_the_page_answers(line: str, reader: Running, desk: Path) -> None:
    command = re.sub(r"\bseqserve ", f"{sys.executable} -m service ", line, count=1)
    ran = subprocess.run(
        ["bash", "-c", command],
        cwd=desk,
        env=Process(reader.address).environment,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout


@pytest.mark.parametrize("code", [text for kind, text in BLOCKS if kind == "python"])
def test_python_of_the_page_runs(
    code: str, reader: Running, desk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Client(reader.address, timeout=100) as client:
        names: dict[str, Any] = {"client": client}
        exec(compile(code, "tasks.md", "exec"), names)
    assert capsys.readouterr().out


@pytest.mark.parametrize("line", [line for line in LINES if command_of(line) == "train"])
def test_a_recipe_of_the_page_is_there_and_named_like_its_model(line: str) -> None:
    path = ROOT / line.split()[2]
    assert load_recipe(path).name == path.stem


def test_the_page_marks_the_models_that_are_shipped_and_names_the_others_where_it_uses_them() -> None:
    shipped = {path.name for path in (ROOT / "models").iterdir() if path.is_dir()}
    table, *sections = PAGE.split("\n## ")
    assert set(re.findall(r"\*\*`([\w-]+)`\*\*", table)) == shipped
    recipes = {path.stem for path in (ROOT / "training" / "recipes").glob("*.toml")}
    for section in sections:
        heading = section.partition("\n")[0]
        used = {name for name in recipes if re.search(rf"[\"/ `]{name}[\". `]", section)}
        marked = re.findall(r"^A recipe only: (.+?)\.(?: |$)", section, re.MULTILINE)
        assert {name for names in marked for name in re.findall(r"`([\w-]+)`", names)} == used - shipped, (
            heading
        )


# Temperature in °C, relative humidity in %, and the ratio that the data have.
AIR = [
    (23.18, 27.272, 0.00479298817650529),
    (23.7, 26.272, 0.00476416302416414),
    (21.76, 31.1333333333333, 0.00502101089021385),
]


@pytest.mark.parametrize(("celsius", "percent", "ratio"), AIR)
def test_the_humidity_ratio_of_the_page_is_that_of_the_data(
    celsius: float, percent: float, ratio: float
) -> None:
    [code] = [text for _, text in BLOCKS if "def humidity_ratio" in text]
    names: dict[str, Any] = {}
    exec(compile(code, "tasks.md", "exec"), names)
    assert names["humidity_ratio"](celsius, percent) == pytest.approx(ratio, rel=5e-4)


def test_every_command_of_the_page_is_one() -> None:
    known = subprocess.run(
        [sys.executable, "-m", "service", "--help"], capture_output=True, text=True, check=True, cwd=ROOT
    ).stdout
    for command in sorted({command_of(line) for line in LINES}):
        assert re.search(rf"\b{command}\b", known)


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("tag", "snips-slots"),
        ("tag", "snips-slots-live"),
        ("summarize", "sentence-compression"),
        ("transcribe", "fsdd-digits"),
        ("predict", "nab"),
        ("pronounce", "cmudict"),
        ("caption", "shapes"),
        ("generate", "tinyshakespeare"),
        ("chat", "task-dialogues"),
        ("interpret", "tatoeba-es-en-simultaneous"),
        ("several", ""),
    ],
)
def test_an_example_runs(name: str, model: str, reader: Running, desk: Path) -> None:
    environment = {**Process(reader.address).environment, "SEQSERVE_MODEL": model}
    command = [sys.executable, str(ROOT / "examples" / f"{name}.py")]
    ran = subprocess.run(command, cwd=desk, env=environment, capture_output=True, text=True, timeout=100)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout


TEXTS = [
    "play some jazz music on the radio, please!",
    "the cat sits on the mat",
    "I don't know what you want",
]


def measured(reader: Running, model: str, file: Path) -> dict[str, Any]:
    ran = Process(reader.address)("evaluate", "--model", model, "--json", str(file))
    assert ran.code == 0, ran.err
    report: dict[str, Any] = json.loads(ran.out)
    return report


def test_a_tagger_agrees_with_its_own_answers_and_with_no_others(reader: Running, tmp_path: Path) -> None:
    with Client(reader.address) as client:
        taggings = client.tag(TEXTS, model="snips-slots-live")
    path, rows = tmp_path / "test.jsonl", []
    for tagging in taggings:
        words = {
            "tokens": [word.word for word in tagging.words],
            "slots": [word.label for word in tagging.words],
        }
        rows.append(words | {"intent": tagging.label})
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    found = measured(reader, "snips-slots-live", path)
    assert found["metric"] == "F1"
    assert (found["score"], found["more"]["text label"]) == (100, 100)
    rows[0] |= {"slots": ["O"] * len(rows[0]["slots"]), "intent": "none"}
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    found = measured(reader, "snips-slots-live", path)
    assert found["score"] < 100
    assert found["more"]["text label"] == pytest.approx(66.67)


@pytest.mark.parametrize(
    ("model", "metric", "file"),
    [("sentence-compression", "F1", "test.tsv"), ("headlines", "ROUGE-L", "test.jsonl")],
)
def test_a_model_that_summarizes_agrees_with_its_own_answers(
    model: str, metric: str, file: str, reader: Running, tmp_path: Path
) -> None:
    with Client(reader.address) as client:
        pairs = [(text, client.summarize(text, model=model).text) for text in TEXTS]
    pairs = [(text, summary) for text, summary in pairs if any(map(str.isalnum, summary))]
    rows = [
        f"{text}\t{summary}" if file.endswith("tsv") else json.dumps({"text": text, "headline": summary})
        for text, summary in pairs
    ]
    (tmp_path / file).write_text("".join(f"{row}\n" for row in rows), "utf-8")
    found = measured(reader, model, tmp_path / file)
    assert (found["metric"], found["score"], found["num_examples"]) == (metric, 100, len(pairs))


def test_lines_of_a_pipe_are_answered_in_order(reader: Running) -> None:
    seqserve = Process(reader.address)
    given = b"play jazz\n\nthe cat sits\n"
    tagged = seqserve("tag", "--model", "snips-slots", "--json", stdin=given)
    assert [json.loads(line)["text"] for line in tagged.lines] == ["play jazz", "", "the cat sits"]
    shorter = seqserve("summarize", "--model", "sentence-compression", stdin=given)
    assert len(shorter.out.split("\n")) == 4
    live = seqserve("tag", "--live", "--json", stdin=given)
    assert [json.loads(line)["word"] for line in live.lines] == ["play", "jazz", "the", "cat", "sits"]
    assert [json.loads(line)["start"] for line in live.lines] == [0, 5, 0, 4, 8]


def test_the_table_names_every_section_recipe_and_example_of_the_page() -> None:
    table = PAGE.split("\n## ")[0]
    headings = re.findall(r"^## (.+)$", PAGE, re.MULTILINE)
    anchors = [re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings]
    assert [link for link in re.findall(r"\(#(.+?)\)", table) if link not in anchors] == []
    named = re.findall(r"`([\w-]+)`", table)
    recipes = [line.split()[2] for line in LINES if command_of(line) == "train"]
    assert [
        path for path in recipes if Path(path).stem.replace("multi30k-en-", "-") not in [*named, "-de"]
    ] == []
    assert [
        name for name in re.findall(r"`(\w+\.py)`", table) if not (ROOT / "examples" / name).exists()
    ] == []
