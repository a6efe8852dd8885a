from pathlib import Path

import pytest
import torch

from training.config import parse_recipe
from training.fit import checkpoints
from training.fit.average import average
from training.fit.checkpoints import CheckpointError
from training.fit.folder import Folder

RECIPE = parse_recipe(
    {"name": "x", "task": "translate", "source": "a", "target": "b", "data": {"train": ["t"], "dev": ["d"]}}
)


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    checkpoints.save(tmp_path / "a.pt", {"model": {"w": torch.arange(3.0)}, "step": 7})
    content = checkpoints.load(tmp_path / "a.pt")
    assert content["step"] == 7
    assert torch.equal(content["model"]["w"], torch.arange(3.0))


def test_a_full_disk_leaves_the_last_checkpoint_whole(tmp_path: Path) -> None:
    checkpoints.save(tmp_path / "a.pt", {"step": 1})
    (tmp_path / ".a.pt.part").symlink_to("/dev/full")
    with pytest.raises(
        CheckpointError, match=r"a\.pt: cannot be written: No space left on device; .* unharmed"
    ):
        checkpoints.save(tmp_path / "a.pt", {"step": 2})
    assert checkpoints.load(tmp_path / "a.pt") == {"step": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["a.pt"]


def test_half_a_checkpoint_is_refused(tmp_path: Path) -> None:
    checkpoints.save(tmp_path / "a.pt", {"w": torch.zeros(100)})
    (tmp_path / "a.pt").write_bytes((tmp_path / "a.pt").read_bytes()[:-100])
    with pytest.raises(CheckpointError, match="is not a checkpoint"):
        checkpoints.load(tmp_path / "a.pt")


def test_an_average_is_the_mean(tmp_path: Path) -> None:
    for number in (1.0, 2.0, 6.0):
        checkpoints.save(tmp_path / f"{number}.pt", {"model": {"w": torch.full((2,), number)}})
    assert torch.equal(average(sorted(tmp_path.iterdir()))["w"], torch.full((2,), 3.0))


def test_only_the_best_are_kept(tmp_path: Path) -> None:
    folder = Folder(tmp_path, RECIPE)
    for epoch, loss in enumerate([10.5, 3.0, 2.0, 9.0, 2.5], 1):
        folder.keep_best(epoch, loss, {"w": torch.tensor([loss])}, keep=3)
    assert [checkpoints.load(path)["epoch"] for path in folder.best()] == [3, 5, 2]
    folder.write_average()
    assert torch.equal(checkpoints.load(tmp_path / "averaged.pt")["model"]["w"], torch.tensor([2.5]))
