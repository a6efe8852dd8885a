import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from tests.training.toy import LABELLED, write_recipe
from training.cli import app
from training.config import RecipeError, load_recipe, parse_recipe
from training.data.readers import DataError
from training.data.vocabulary import Vocabulary
from training.fit import checkpoints
from training.fit.checkpoints import CheckpointError
from training.fit.folder import Folder
from training.fit.tasks.translate import Translation
from training.fit.train import train
from training.models.build import build

ROOT = Path(__file__).parents[3]


def command(recipe: Path, data: Path, out: Path) -> list[str]:
    return ["training.cli", "train", str(recipe), "--data", str(data), "--out", str(out)]


def start(arguments: list[str]) -> "subprocess.Popen[bytes]":
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", *arguments],
        cwd=ROOT,
        env=environment,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )


def wait_for(path: Path, process: "subprocess.Popen[bytes]") -> None:
    while not path.exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.005)


def progress_of(out: Path) -> float:
    """Epochs, the current one counted by its batches."""
    last = checkpoints.load(out / "last.pt")
    return float(last["epoch"] + last["next_batch"] / 20)


def weights(out: Path, name: str = "averaged.pt") -> dict[str, torch.Tensor]:
    found = checkpoints.load(out / name)["model"]
    assert isinstance(found, dict)
    return found


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_a_run_leaves_all_that_an_export_needs(tmp_path: Path, toy_data: Path) -> None:
    assert train(write_recipe(tmp_path), toy_data, tmp_path / "out")
    content = checkpoints.load(tmp_path / "out" / "averaged.pt")
    model = build(parse_recipe(content["config"]), Vocabulary.read(tmp_path / "out"))
    model.load_state_dict(content["model"])
    lines = (tmp_path / "out" / "log.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == [1, 2]
    assert json.loads(lines[1])["loss"] < json.loads(lines[0])["loss"]
    assert list((tmp_path / "out" / "tensorboard").iterdir())


@pytest.mark.parametrize("pooling", ["last", "max", "last-max"])
def test_a_classifier_learns_its_labels(tmp_path: Path, toy_data: Path, pooling: str) -> None:
    recipe = tmp_path / "labels.toml"
    recipe.write_text(LABELLED.format(pooling=pooling))
    assert train(recipe, toy_data, tmp_path / "out")
    last = json.loads((tmp_path / "out" / "log.jsonl").read_text().splitlines()[-1])
    assert last["accuracy"] == 100
    assert (tmp_path / "out" / "labels.txt").read_text() == "False\nTrue\n"


def test_killed_and_started_again_it_ends_as_if_undisturbed(tmp_path: Path, toy_data: Path) -> None:
    recipe = write_recipe(tmp_path, epochs=4, save_minutes=0.0)
    assert train(recipe, toy_data, tmp_path / "whole")
    process = start(command(recipe, toy_data, tmp_path / "killed"))
    wait_for(tmp_path / "killed" / "last.pt", process)
    while progress_of(tmp_path / "killed") < 2.1:  # the rate falls by then
        assert process.poll() is None
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert train(recipe, toy_data, tmp_path / "killed")
    assert same(weights(tmp_path / "whole"), weights(tmp_path / "killed"))


def test_asked_to_stop_it_saves_and_goes_on_later(tmp_path: Path, toy_data: Path) -> None:
    recipe = write_recipe(tmp_path, epochs=3)
    process = start(command(recipe, toy_data, tmp_path / "out"))
    wait_for(tmp_path / "out" / "log.jsonl", process)
    process.terminate()
    _, said = process.communicate()
    assert process.returncode == 0
    assert b"stopped; the same command goes on" in said
    stood = checkpoints.load(tmp_path / "out" / "last.pt")["step"]
    assert train(recipe, toy_data, tmp_path / "out")
    assert checkpoints.load(tmp_path / "out" / "last.pt")["step"] > stood


def test_a_finished_run_is_left_as_it_is(tmp_path: Path, toy_data: Path) -> None:
    recipe = write_recipe(tmp_path, epochs=1)
    assert train(recipe, toy_data, tmp_path / "out")
    before = (tmp_path / "out" / "last.pt").read_bytes()
    assert train(recipe, toy_data, tmp_path / "out")
    assert (tmp_path / "out" / "last.pt").read_bytes() == before


def test_out_of_minutes_it_still_evaluates_and_saves(tmp_path: Path, toy_data: Path) -> None:
    recipe = write_recipe(tmp_path, epochs=50)
    assert train(recipe, toy_data, tmp_path / "out", max_minutes=0.001)
    assert checkpoints.load(tmp_path / "out" / "last.pt")["step"] < 20
    assert (tmp_path / "out" / "averaged.pt").exists()


def test_a_folder_with_another_model_is_not_written_over(tmp_path: Path, toy_data: Path) -> None:
    recipe = write_recipe(tmp_path, epochs=1)
    train(recipe, toy_data, tmp_path / "out")
    recipe.write_text(recipe.read_text().replace("embedding = 16", "embedding = 8"))
    with pytest.raises(RecipeError, match="holds a run with another model"):
        train(recipe, toy_data, tmp_path / "out")


@pytest.mark.slow
def test_two_processes_train_one_model(tmp_path: Path, toy_data: Path) -> None:
    recipe = write_recipe(tmp_path, epochs=2)
    launcher = ["torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m"]
    process = start([*launcher, *command(recipe, toy_data, tmp_path / "out")])
    _, said = process.communicate()
    assert process.returncode == 0, said.decode()
    lines = [json.loads(line) for line in (tmp_path / "out" / "log.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2]
    assert lines[1]["loss"] < lines[0]["loss"]


def test_a_mistake_in_a_recipe_is_told_without_a_traceback(tmp_path: Path, toy_data: Path) -> None:
    recipe = write_recipe(tmp_path)
    recipe.write_text(recipe.read_text() + "epochs = 3\n")
    result = CliRunner().invoke(app, command(recipe, toy_data, tmp_path / "out")[1:])
    assert result.exit_code == 1
    assert "unknown key training.epochs; valid keys here: batch_tokens" in result.output


def test_a_file_in_the_place_of_the_folder_is_told(tmp_path: Path, toy_data: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(CheckpointError, match=r"out: cannot be made a folder: File exists"):
        train(write_recipe(tmp_path), toy_data, tmp_path / "out")


def test_a_label_that_only_dev_has_is_told(tmp_path: Path) -> None:
    (tmp_path / "labels.tsv").write_text("x\ta b\n")
    (tmp_path / "more.tsv").write_text("x\ta b\ny\tb c\n")
    recipe = tmp_path / "labels.toml"
    recipe.write_text(LABELLED.format(pooling="max").replace('dev = ["labels.tsv"]', 'dev = ["more.tsv"]'))
    with pytest.raises(DataError, match=r"labels that do not occur in data\.train: y"):
        train(recipe, tmp_path, tmp_path / "out")


def test_every_comfort_at_once_is_gone_on_with_as_if_never_stopped(tmp_path: Path, toy_data: Path) -> None:
    def recipe(epochs: int) -> Path:
        path, text = tmp_path / "comforts.toml", write_recipe(tmp_path, epochs).read_text()
        text = text.replace("vocab_size = 40", "vocab_size = 40\ndropout = 0.2")
        text = text.replace("[training]", "[training]\nema = 0.9\ndecay_start = 1.0")
        path.write_text(
            text.replace("hidden = 16,", "hidden = 16, variational = true, weight_dropout = 0.2,")
        )
        return path

    assert train(recipe(2), toy_data, tmp_path / "whole")
    assert train(recipe(1), toy_data, tmp_path / "halves")
    assert train(recipe(2), toy_data, tmp_path / "halves")
    assert same(weights(tmp_path / "whole", "last.pt"), weights(tmp_path / "halves", "last.pt"))
    assert same(weights(tmp_path / "whole"), weights(tmp_path / "halves"))
    assert (tmp_path / "whole" / "curve.png").read_bytes().startswith(b"\x89PNG")
    entries = [json.loads(line) for line in (tmp_path / "whole" / "log.jsonl").read_text().splitlines()]
    assert all(entry["train_loss"] > 0 for entry in entries)


def test_what_is_kept_is_the_moving_average(tmp_path: Path, toy_data: Path) -> None:
    path = tmp_path / "ema.toml"
    path.write_text(write_recipe(tmp_path, 1).read_text().replace("[training]", "[training]\nema = 0.99"))
    assert train(path, toy_data, tmp_path / "out")
    last = checkpoints.load(tmp_path / "out" / "last.pt")
    [best] = (tmp_path / "out").glob("best-*.pt")
    kept = checkpoints.load(best)["model"]
    config = checkpoints.load(tmp_path / "out" / "averaged.pt")["config"]
    model = build(parse_recipe(config), Vocabulary.read(tmp_path / "out"))
    means = zip((name for name, _ in model.named_parameters()), last["average"]["mean"], strict=True)
    assert all(torch.equal(kept[name], mean) for name, mean in means)
    assert not same(kept, last["model"])


def test_what_is_kept_is_the_best_by_the_score_that_is_selected_by(
    tmp_path: Path, toy_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = iter([10.0, 50.0, 30.0, 20.0, 90.0])
    monkeypatch.setattr(Translation, "scores", lambda *_: {"bleu": next(told)})
    path = tmp_path / "selected.toml"
    settings = '[training]\nselect = "bleu"\nkeep_best = 2\npatience = 2'
    path.write_text(write_recipe(tmp_path, 9).read_text().replace("[training]", settings))
    assert train(path, toy_data, tmp_path / "out")
    assert list(told) == [90.0], "two that were no better are enough"
    best = Folder(tmp_path / "out", load_recipe(path)).best()
    assert [(kept["epoch"], kept["cost"]) for kept in map(checkpoints.load, best)] == [(2, 50.0), (3, 70.0)]


def test_characters_have_no_merges_to_leave_out(tmp_path: Path, toy_data: Path) -> None:
    path = tmp_path / "characters.toml"
    text = write_recipe(tmp_path).read_text()
    path.write_text(text.replace("vocab_size = 40", 'vocab_size = 40\nkind = "characters"\ndropout = 0.2'))
    with pytest.raises(RecipeError, match="dropout is for subwords"):
        train(path, toy_data, tmp_path / "out")
