"""A decoder that is trained against another run's encoder."""

from pathlib import Path

import pytest
import torch

from service.bundle import Bundle
from tests.training.toy import write_data
from training.config import RecipeError, parse_recipe
from training.export.bundle import export
from training.export.check import ExportRefused
from training.fit.train import train

RECIPE = """
name = "{name}"
task = "translate"
source = "xx"
target = "{target}"

[data]
columns = ["xx", "{target}"]
train = ["train.tsv"]
dev = ["train.tsv"]

[tokenizer]
vocab_size = 40

[shared]
{shared}

[model]
embedding = 16
tied = "output"
encoder = {{ cell = "gru", hidden = {hidden}, bidirectional = true }}
decoder = {{ cell = "gru", hidden = 24, first_state = "zero" }}

[training]
batch_tokens = 200
learning_rate = 1e-2
warmup_steps = 5
max_epochs = 1
score_examples = 4
"""


def recipe(folder: Path, name: str, target: str, shared: str = "", hidden: int = 16) -> Path:
    path = folder / f"{name}.toml"
    path.write_text(RECIPE.format(name=name, target=target, shared=shared, hidden=hidden), "utf-8")
    return path


def weights(run: Path) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = torch.load(run / "averaged.pt", weights_only=True)["model"]
    return found


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`one`, and `two` with the encoder of `one`."""
    folder = tmp_path_factory.mktemp("runs")
    data = write_data(folder / "data")
    assert train(recipe(folder, "one", "yy"), data, folder / "one")
    assert train(recipe(folder, "two", "zz", 'encoder_of = "one"'), data, folder / "two")
    return folder


def test_the_encoder_stays_bit_for_bit_and_the_decoder_learns(runs: Path) -> None:
    one, two = weights(runs / "one"), weights(runs / "two")
    encoder = [name for name in one if name.startswith("encoder.")]
    assert len(encoder) > 4
    assert all(torch.equal(one[name], two[name]) for name in encoder)
    assert not torch.equal(one["decoder.embedding.weight"], two["decoder.embedding.weight"])
    assert (runs / "one" / "tokenizer.json").read_bytes() == (runs / "two" / "tokenizer.json").read_bytes()


def test_its_bundle_names_the_graph_of_the_other(runs: Path, tmp_path: Path) -> None:
    with pytest.raises(ExportRefused, match="is not there: export one first"):
        export(runs / "two", tmp_path, tell=lambda _: None)
    lender = Bundle.read(export(runs / "one", tmp_path, tell=lambda _: None))
    borrower = Bundle.read(export(runs / "two", tmp_path, tell=lambda _: None))
    assert borrower.graph_hash("encode") == lender.graph_hash("encode")
    assert borrower.size_bytes < lender.size_bytes
    (lender.path / "encode.onnx").write_bytes(b"another")
    (borrower.path).rename(tmp_path / "away")
    with pytest.raises(ExportRefused, match="is not the encoder that this model was trained with"):
        export(runs / "two", tmp_path, tell=lambda _: None)


def test_an_encoder_that_is_not_there_or_does_not_fit_is_refused(runs: Path) -> None:
    data = runs / "data"
    with pytest.raises(RecipeError, match="train nobody first"):
        train(recipe(runs, "three", "zz", 'encoder_of = "nobody"'), data, runs / "three")
    with pytest.raises(RecipeError, match=r"have to be those of .*one, whose encoder is taken"):
        train(recipe(runs, "four", "zz", 'encoder_of = "one"', hidden=8), data, runs / "four")


def test_an_encoder_that_is_shared_may_know_nothing_of_its_decoder() -> None:
    good = {"name": "x", "task": "translate", "source": "a", "target": "b", "shared": {}}
    data = {"data": {"train": ["t"], "dev": ["d"]}}
    with pytest.raises(RecipeError, match=r'wants tied = "output", decoder\.first_state = "zero"$'):
        parse_recipe(good | data)
