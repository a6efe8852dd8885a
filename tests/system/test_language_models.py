"""Language models from end to end, and with a server that is killed in the middle of what it writes."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from service.client import Client
from tests.service.cli.process import Process
from tests.system.conftest import serving
from tests.system.test_drawing import two_servers

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

VERSE = "the rose is red, the violet blue,\nthe honey sweet, and so are you.\n"
RECIPE = """
name = "verse"
task = "generate"
source = "en"
data = { train = ["verse.txt"], dev = ["verse.txt"], chunk = 32 }
tokenizer = { kind = "characters" }
model = { embedding = 16, dropout = 0.0, encoder = { layers = 1, hidden = 64 } }
export = { max_length = 200, max_loss = 2.0 }
[training]
batch_tokens = 256
learning_rate = 0.01
warmup_steps = 10
max_epochs = 12
label_smoothing = 0.0
bf16 = false
"""
TALK = """
name = "echo"
task = "chat"
source = "en"
data = { train = ["talk.jsonl"], dev = ["talk.jsonl"], chunk = 32 }
tokenizer = { kind = "characters" }
model = { embedding = 16, dropout = 0.0, encoder = { layers = 1, hidden = 64 } }
[training]
batch_tokens = 256
learning_rate = 0.01
warmup_steps = 10
max_epochs = 16
label_smoothing = 0.0
bf16 = false
"""
REPLIES = {"hello": "who are you?", "a friend": "come in.", "goodbye": "farewell."}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Trained and exported in seconds."""
    from training.export.bundle import export  # torch takes a moment to import
    from training.fit.train import train

    folder = tmp_path_factory.mktemp("trained")
    (folder / "verse.txt").write_text(VERSE * 60)
    (folder / "verse.toml").write_text(RECIPE)
    turns = [turn for pair in REPLIES.items() for turn in pair]
    talks = [turns[at:] for at in (0, 2, 4)] * 40
    (folder / "talk.jsonl").write_text("".join(json.dumps({"turns": talk}) + "\n" for talk in talks))
    (folder / "talk.toml").write_text(TALK)
    for name in ("verse", "talk"):
        assert train(folder / f"{name}.toml", folder, folder / f"run-{name}")
        export(folder / f"run-{name}", folder / "models", data=folder, tell=lambda _: None)
    return folder / "models"


@pytest.fixture(scope="module")
def address(models: Path) -> Iterator[str]:
    with serving(models) as running:
        yield running.address


def test_a_verse_that_was_learned_is_gone_on_with(address: str) -> None:
    with Client(address) as client:
        assert (
            client.generate("the rose is", max_length=len(VERSE)).text == (VERSE + VERSE)[11:][: len(VERSE)]
        )
        with client.session(model="verse") as session:
            session.feed("the rose is red, the vio")
            assert session.generate(max_length=10).finish().text == "let blue,\n"
            session.feed("the ho")
            assert session.generate(max_length=9).finish().text == "ney sweet"


def test_what_was_learned_is_measured(address: str, models: Path) -> None:
    test, other = models.parent / "verse.txt", models.parent / "other.txt"
    other.write_text("blue roses are so sweet, and you are red.\n")
    found = [
        json.loads(Process(address)("evaluate", "--model", "verse", "--json", *more).out)["score"]
        for more in ((str(test),), ("--window", "10", str(test)), (str(other),))
    ]
    assert found[0] < 0.1 < found[1] < found[2]


def test_a_dialogue_that_was_learned_is_talked(address: str) -> None:
    ran = Process(address)("chat", "--model", "echo", stdin="\n".join(REPLIES).encode())
    assert ran.lines == list(REPLIES.values())


@pytest.mark.parametrize(
    "asked", [{}, {"temperature": 0.7, "seed": 5}, {"beam_size": 3}, {"stop": ["violet blue"]}], ids=str
)
def test_a_server_that_is_killed_changes_nothing_of_what_is_written(
    models: Path, tmp_path: Path, asked: dict[str, Any]
) -> None:
    options = {"max_length": 200, "num_alternatives": 16} | asked
    with two_servers(models, tmp_path) as (one, other):
        with Client(other.address) as client, client.session(model="verse") as session:
            session.feed("the rose")
            expected = [session.generate(**options).finish().hypotheses for _ in range(2)]
        with Client(f"{one.address},{other.address}", timeout=60) as client:
            session = client.session(model="verse", durability="every step")
            session.feed("the rose")
            stream = session.generate(**options)
            next(stream)
            one.process.kill()
            one.process.wait()
            found = [stream.finish().hypotheses]
            found.append(session.generate(**options).finish().hypotheses)
            session.close()
    assert found == expected
