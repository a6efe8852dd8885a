"""Weights are read back from a bundle as they are served, and training goes on from them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from service.bundle import Bundle
from service.bundle.tokenizer import BOS, PAD
from tests.bundles import language_model_run, tagger_run, translator_run
from tests.training.toy import write_data, write_recipe
from training.config import RecipeError, load_recipe
from training.export.arithmetic import ARITHMETICS
from training.export.bundle import export, write_bundle
from training.export.check import ExportRefused
from training.export.recall import constants, recall, start_from
from training.export.run import Run
from training.export.tasks import export_of
from training.fit.train import train

CELLS = [
    {"encoder": {"hidden": 24, "cell": cell, "layers": layers, "bidirectional": two_way, **more}}
    for cell, layers, two_way, more in (
        ("rnn", 1, True, {}),
        ("lstm", 2, True, {}),
        ("gru", 2, False, {}),
        ("mingru", 3, False, {"residual": True, "norm": True}),
    )
]


def bytes_of(run: "Run[Any, Any]", precision: str) -> dict[str, bytes]:
    graphs = export_of(run).graphs(ARITHMETICS[precision]())
    return {name: graph.serialized() for name, (graph, _) in graphs.items()}


def read_back(run: "Run[Any, Any]", models: Path) -> "Run[Any, Any]":
    """The run again, with the weights that its bundle holds."""
    place = write_bundle(run, models, tell=lambda _: None)
    weights = recall(place, run.recipe, run.vocabulary)
    assert weights.keys() == run.model.state_dict().keys()
    run.model.load_state_dict(weights)
    return run


@pytest.mark.parametrize("parts", CELLS, ids=lambda parts: parts["encoder"]["cell"])
@pytest.mark.parametrize("tied", ["all", "none"])
def test_what_float32_graphs_hold_is_what_was_trained(
    tmp_path: Path, parts: dict[str, Any], tied: str
) -> None:
    run = translator_run(**parts, tied=tied, export={"precision": "fp32"})
    before = bytes_of(run, "fp32")
    assert bytes_of(read_back(run, tmp_path), "fp32") == before


@pytest.mark.parametrize("parts", CELLS, ids=lambda parts: parts["encoder"]["cell"])
def test_what_was_rounded_to_eight_bits_is_rounded_to_the_same_again(
    tmp_path: Path, parts: dict[str, Any]
) -> None:
    run = translator_run(**parts)
    trained = {name: weight.clone() for name, weight in run.model.state_dict().items()}
    read = read_back(run, tmp_path).model.state_dict()
    for name, weight in trained.items():
        if weight.ndim == 2:
            step = weight.abs().amax(1, keepdim=True) / 127
            assert ((weight - read[name]).abs() <= step * 0.501).all(), name
    again = write_bundle(run, tmp_path / "again", tell=lambda _: None)
    first, second = (Bundle.read(place) for place in (tmp_path / run.recipe.name / "1", again))
    assert {name: integers(first, name) for name in first.manifest.graphs} == {
        name: integers(second, name) for name in second.manifest.graphs
    }


def integers(bundle: Bundle, graph: str) -> list[tuple[str, bytes]]:
    """Names and bytes of a graph's weights in eight bits."""
    found = constants(bundle.read_graph(graph)).items()
    return [(name, one.tobytes()) for name, one in found if one.dtype == np.int8]


def test_biases_that_one_graph_hides_are_taken_from_the_other(tmp_path: Path) -> None:
    """A language model that goes on with a text never writes the unknown token; one that scores a text may meet it."""
    run = language_model_run(export={"precision": "fp32"})
    torch.nn.init.normal_(run.model.output.bias)
    trained = run.model.output.bias.detach().clone()
    read = read_back(run, tmp_path).model.output.bias.detach()
    told = ~torch.isin(torch.arange(len(trained)), torch.tensor([PAD, BOS]))
    assert torch.equal(read[told], trained[told])
    assert (read[~told] == trained[told].min()).all(), "no graph has those: the least there is"


def test_a_bundle_that_does_not_hold_all_weights_is_refused(tmp_path: Path) -> None:
    run = tagger_run(chain=True, encoder={"hidden": 24, "bidirectional": True})
    place = write_bundle(run, tmp_path, tell=lambda _: None)
    with pytest.raises(ExportRefused, match=r"does not hold all weights of such a model: chain\.first"):
        recall(place, run.recipe, run.vocabulary)


def test_a_bundle_of_another_recipe_is_refused(tmp_path: Path) -> None:
    place = write_bundle(translator_run(), tmp_path, tell=lambda _: None)
    other = translator_run(encoder={"hidden": 16, "bidirectional": True})
    with pytest.raises(ExportRefused, match="exported from another recipe: its weights have other sizes"):
        recall(place, other.recipe, other.vocabulary)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `data`, the recipe `toy.toml`, its `run` and the bundle of that in `models`."""
    folder = tmp_path_factory.mktemp("trained")
    data, recipe = write_data(folder / "data"), write_recipe(folder, epochs=3)
    assert train(recipe, data, folder / "run")
    export(folder / "run", folder / "models", tell=lambda _: None)
    return folder


def losses(run: Path) -> list[float]:
    lines = map(json.loads, (run / "log.jsonl").read_text().splitlines())
    return [line["loss"] for line in lines if "epoch" in line]


@pytest.mark.parametrize("place", ["run", "models/toy/1"])
def test_a_run_goes_on_from_a_run_and_from_a_bundle(trained: Path, tmp_path: Path, place: str) -> None:
    recipe = write_recipe(tmp_path, epochs=1)
    begun = start_from(trained / place, load_recipe(recipe))
    assert train(recipe, trained / "data", tmp_path / "more", start_of=lambda _: begun)
    assert losses(tmp_path / "more")[0] < losses(trained / "run")[0] * 0.9
    assert (tmp_path / "more" / "tokenizer.json").read_bytes() == (
        trained / "run" / "tokenizer.json"
    ).read_bytes()


def test_a_run_that_has_begun_goes_on_from_where_it_stands(trained: Path, tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, epochs=1)
    begun = start_from(trained / "run", load_recipe(recipe))
    assert train(recipe, trained / "data", tmp_path / "more", start_of=lambda _: begun)
    one = losses(tmp_path / "more")
    assert train(
        write_recipe(tmp_path, epochs=2), trained / "data", tmp_path / "more", start_of=lambda _: begun
    )
    assert losses(tmp_path / "more")[:1] == one
    assert len(losses(tmp_path / "more")) == 2


def test_another_model_cannot_be_begun_with(trained: Path, tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path)
    recipe.write_text(recipe.read_text().replace("embedding = 16", "embedding = 12"))
    begun = start_from(trained / "run", load_recipe(recipe))
    with pytest.raises(RecipeError, match=r"\[model\] and labels have to be those of .*run: size mismatch"):
        train(recipe, trained / "data", tmp_path / "more", start_of=lambda _: begun)


def weights_of(file: Path) -> dict[str, Tensor]:
    weights: dict[str, Tensor] = torch.load(file, weights_only=True)["model"]
    return weights


def sharing(folder: Path, share: float, epochs: int = 1) -> Path:
    recipe = write_recipe(folder, epochs=epochs)
    recipe.write_text(
        recipe.read_text().replace("[training]", f"[training]\nkeep_start = {share}\nkeep_best = 1")
    )
    return recipe


def test_of_what_a_run_began_with_stays_the_share_that_is_asked_for(trained: Path, tmp_path: Path) -> None:
    recipe, run = sharing(tmp_path, 0.25), tmp_path / "more"
    begun = start_from(trained / "models/toy/1", load_recipe(recipe))
    assert train(recipe, trained / "data", run, start_of=lambda _: begun)
    [best] = run.glob("best-*.pt")
    learned = weights_of(best)
    assert not all(torch.equal(weight, begun.weights[name]) for name, weight in learned.items())
    for name, weight in weights_of(run / "averaged.pt").items():
        torch.testing.assert_close(weight, 0.75 * learned[name] + 0.25 * begun.weights[name])


def test_a_share_stays_through_a_sitting_that_is_not_told_the_start(trained: Path, tmp_path: Path) -> None:
    run, begun = tmp_path / "more", start_from(trained / "run", load_recipe(write_recipe(tmp_path)))
    assert train(sharing(tmp_path, 0.5), trained / "data", run, start_of=lambda _: begun)
    assert train(sharing(tmp_path, 0.5, epochs=2), trained / "data", run)
    assert len(losses(run)) == 2
    [best] = run.glob("best-*.pt")
    assert best.name.endswith("-002.pt"), "it gets better, or this tells nothing"
    for name, learned in weights_of(best).items():
        torch.testing.assert_close(weights_of(run / "averaged.pt")[name], (learned + begun.weights[name]) / 2)


def test_a_share_of_no_start_is_refused_before_training(trained: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"training\.keep_start .* give it --start"):
        train(sharing(tmp_path, 0.5), trained / "data", tmp_path / "more")
    assert not list((tmp_path / "more").glob("*.pt"))
