"""Language models: the state goes on from batch to batch, and from sitting to sitting."""

import json
from pathlib import Path

import pytest
import torch

from service.bundle.tokenizer import BOS
from training.config import load_recipe
from training.data.batches import Batch
from training.fit import checkpoints
from training.fit.devices import Place
from training.fit.folder import Folder
from training.fit.loop import Fit
from training.fit.progress import Reporter
from training.fit.tasks import open_task
from training.fit.tasks.base import evaluating
from training.fit.tasks.generate import LanguageModelObjective
from training.fit.train import train

RECIPE = """
name = "abc"
task = "generate"
source = "en"
[data]
train = ["text.txt"]
dev = ["text.txt"]
train_part = [0.0, 0.8]
dev_part = [0.8, 1.0]
chunk = 12
restart = 0.1
[tokenizer]
kind = "characters"
[model]
embedding = 8
dropout = 0.1
encoder = {{ layers = 1, hidden = 24 }}
[training]
batch_tokens = 72
learning_rate = 0.02
warmup_steps = 5
max_epochs = {epochs}
label_smoothing = 0.0
save_minutes = 0
bf16 = false
"""
DIALOGUES = """
name = "echo"
task = "chat"
source = "en"
data = {{ train = ["turns.jsonl"], dev = ["turns.jsonl"], chunk = 16 }}
tokenizer = {{ kind = "characters" }}
model = {{ embedding = 8, dropout = 0.0, encoder = {{ layers = 1, hidden = 32 }} }}
[training]
batch_tokens = 128
learning_rate = 0.02
warmup_steps = 5
max_epochs = {epochs}
label_smoothing = 0.0
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    words = ["abc\n", "abd\n", "xyz\n"]
    text = "".join(words[(number * number) % 7 % 3] for number in range(500))
    (tmp_path / "text.txt").write_text(text)
    turns = [[word, word[::-1]] * 2 for word in ("ab", "cd", "ef")]
    (tmp_path / "turns.jsonl").write_text("".join(json.dumps({"turns": turn}) + "\n" for turn in turns * 20))
    (tmp_path / "text.toml").write_text(RECIPE.format(epochs=6))
    (tmp_path / "turns.toml").write_text(DIALOGUES.format(epochs=15))
    return tmp_path


def objective(folder: Path) -> LanguageModelObjective:
    torch.manual_seed(0)
    made = open_task(load_recipe(folder / "text.toml"), folder).objective()
    assert isinstance(made, LanguageModelObjective)
    return made


def batch(ids: torch.Tensor) -> Batch:
    return Batch(ids[:, :-1], torch.tensor([]), ids[:, 1:])


def test_the_loss_in_chunks_is_that_of_the_whole(folder: Path) -> None:
    ids = torch.randint(4, 10, (3, 21))
    ids[:, 0] = BOS
    model = objective(folder)
    with evaluating(model):
        whole = float(model(batch(ids)))
        parts = [float(model(batch(ids[:, start : start + 6]))) for start in range(0, 20, 5)]
    assert sum(parts) == pytest.approx(whole, rel=1e-5)


def test_a_row_that_begins_with_bos_knows_nothing_of_what_came_before(folder: Path) -> None:
    first, second = torch.randint(4, 10, (2, 2, 9))
    second[0, 0] = BOS
    model = objective(folder)
    with evaluating(model):
        alone = model(batch(second[:1]))
        goes_on_alone = model(batch(second[1:]))
        model(batch(first))
        after = model(batch(second))
    assert float(after) != pytest.approx(float(alone + goes_on_alone), rel=1e-4)
    with evaluating(model):
        model(batch(first[1:]))
        goes_on = model(batch(second[1:]))
    assert float(after) == pytest.approx(float(alone + goes_on), rel=1e-5)


def test_an_evaluation_leaves_the_state_of_the_training_alone(folder: Path) -> None:
    model = objective(folder)
    ids = torch.randint(4, 10, (2, 9))
    model(batch(ids))
    before = model.carried()
    with evaluating(model):
        model(batch(torch.randint(4, 10, (5, 9))))
    assert before is not None
    assert all(map(torch.equal, before, model.carried() or []))


def test_a_model_learns_what_comes_next(folder: Path) -> None:
    assert train(folder / "text.toml", folder, folder / "out")
    last = json.loads((folder / "out" / "log.jsonl").read_text().splitlines()[-1])
    assert last["loss"] < 0.3  # of four characters the first is open, for whoever cannot count to seven
    assert last["loss"] <= last["reset_256"] + 0.02


def test_turns_of_dialogues_are_learned_with_their_ends(folder: Path) -> None:
    assert train(folder / "turns.toml", folder, folder / "out")
    last = json.loads((folder / "out" / "log.jsonl").read_text().splitlines()[-1])
    assert last["loss"] < 0.2  # of 12 tokens only the first is open: one of three


def test_a_run_that_was_interrupted_within_an_epoch_goes_on_bit_for_bit(folder: Path) -> None:
    recipe = load_recipe(folder / "text.toml")

    def fit(name: str) -> Fit:
        task = open_task(recipe, folder)
        place = Place(torch.device("cpu"), 0, 1)
        return Fit(recipe, task, place, Folder(folder / name, recipe), Reporter(folder / name, silent=True))

    checkpoints.make_folder(folder / "one")
    whole = fit("one")
    assert whole.run()
    checkpoints.make_folder(folder / "two")
    for updates in (3, 25, None):
        part = fit("two")
        last = Folder(folder / "two", recipe).read_last()
        if last is not None:
            part.restore(last)
        if updates is not None:
            stop_after(part, updates)
        part.run()
    for name, weight in whole.state()["model"].items():
        assert torch.equal(weight, part.state()["model"][name]), name


def stop_after(fit: Fit, updates: int) -> None:
    ask = fit._agree

    def agree(targets: int) -> int:
        nonlocal updates
        updates -= 1
        fit.stopping = updates <= 0
        return ask(targets)

    fit._agree = agree  # type: ignore[method-assign]


def test_a_checkpoint_from_before_states_were_kept_is_read(folder: Path) -> None:
    recipe = load_recipe(folder / "text.toml")
    checkpoints.make_folder(folder / "old")
    place = Place(torch.device("cpu"), 0, 1)
    task = open_task(recipe, folder)
    fit = Fit(recipe, task, place, Folder(folder / "old", recipe), Reporter(folder / "old", silent=True))
    state = fit.state()
    del state["carried"]
    fit.restore(state)


def test_processes_share_the_streams_and_not_the_chunks(folder: Path) -> None:
    task = open_task(load_recipe(folder / "text.toml"), folder)
    plan = task.plan(0)
    first, second = (task.share(plan, rank, 2) for rank in range(2))
    assert len(first) == len(second) == len(plan)
    assert [sorted(one + other) for one, other in zip(first, second, strict=True)] == [
        sorted(rows) for rows in plan
    ]
