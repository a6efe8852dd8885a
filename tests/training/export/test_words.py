"""Models that label words, and models that copy, are exported as PyTorch has them, exact by row and in chunks."""

import hashlib
import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from service.bundle import Bundle
from service.bundle.words import subwords_of, words_of
from service.errors import BundleRefused
from tests.bundles import SLOTS, deleter_run, tagger_run, write_deleter, write_summarizer, write_tagger
from training.config import RecipeError, Seq2SeqSection, TaggerSection
from training.data.readers import Compressed
from training.export.arithmetic import ARITHMETICS
from training.export.bundle import write_bundle
from training.export.check import TOLERANCE, ExportRefused, Runner
from training.export.check_seq2seq import Seq2SeqCheck
from training.export.check_tagger import TaggerCheck
from training.export.copying import CopyingGraphs
from training.export.tagger import TaggerGraphs
from training.export.tasks import export_of
from training.models.copying import CopyingSeq2Seq
from training.models.tagger import Tagger


@pytest.mark.parametrize(
    ("cell", "two_way", "num_text_labels"), list(itertools.product(("lstm", "gru"), (False, True), (0, 3)))
)
def test_taggers_equal_pytorch_alone_in_batches_and_in_chunks(
    cell: str, two_way: bool, num_text_labels: int
) -> None:
    encoder = {"cell": cell, "layers": 2, "hidden": 37, "bidirectional": two_way}
    section = TaggerSection.model_validate({"embedding": 33, "encoder": encoder})
    torch.manual_seed(0)
    model = Tagger(section, 120, 7, num_text_labels).eval()
    for name, numbers in ARITHMETICS.items():
        graphs = TaggerGraphs(model, section, numbers()).graphs()
        runners = {graph: Runner(*pair) for graph, pair in graphs.items()}
        assert TaggerCheck(model, runners, TOLERANCE if name == "fp32" else None).run() < 0.01


def copying(kind: str, two_way: bool) -> tuple[CopyingSeq2Seq, Seq2SeqSection]:
    encoder = {"hidden": 37, "bidirectional": two_way}
    decoder = {"hidden": 50, "attention": kind}
    section = Seq2SeqSection.model_validate({"embedding": 33, "encoder": encoder, "decoder": decoder})
    torch.manual_seed(0)
    return CopyingSeq2Seq(section, 120).eval(), section


@pytest.mark.parametrize(("kind", "two_way"), [("luong", True), ("luong", False), ("bahdanau", False)])
def test_models_that_copy_equal_pytorch_alone_in_batches_and_in_chunks(kind: str, two_way: bool) -> None:
    model, section = copying(kind, two_way)
    for name, numbers in ARITHMETICS.items():
        graphs = CopyingGraphs(model, section, numbers()).graphs()
        runners = {graph: Runner(*pair) for graph, pair in graphs.items()}
        assert Seq2SeqCheck(model, runners, TOLERANCE if name == "fp32" else None).run() < 0.01


def test_a_graph_with_another_gate_is_refused() -> None:
    model, section = copying("luong", True)
    graphs = CopyingGraphs(model, section, ARITHMETICS["fp32"]()).graphs()
    runners = {graph: Runner(*pair) for graph, pair in graphs.items()}
    with torch.no_grad():
        model.gate.bias.add_(1)
    with pytest.raises(ExportRefused, match="away from PyTorch"):
        Seq2SeqCheck(model, runners, TOLERANCE).run()


def test_bundles_say_what_their_labels_are_of(tmp_path: Path) -> None:
    tagger, deleter = Bundle.read(write_tagger(tmp_path)), Bundle.read(write_deleter(tmp_path))
    writer = Bundle.read(write_summarizer(tmp_path))
    assert tagger.labels == SLOTS
    assert len(tagger.text_labels) == 3
    assert (tagger.manifest.words, deleter.manifest.words) == ("marks", "edges")
    assert [bundle.manifest.task for bundle in (deleter, writer)] == ["summarize"] * 2
    assert deleter.labels == ("drop", "keep")
    assert writer.labels == ()


TWO_WAY = {"hidden": 24, "bidirectional": True}


def test_bundles_say_which_label_follows_which(tmp_path: Path) -> None:
    run = tagger_run(chain=True, encoder=TWO_WAY)
    torch.nn.init.normal_(run.model.chain.between)
    transitions = Bundle.read(write_bundle(run, tmp_path, tell=lambda _: None)).transitions
    assert transitions is not None
    assert transitions.between == pytest.approx(run.model.chain.between.detach().numpy(), rel=1e-4)


def test_a_damaged_chain_is_refused_by_its_name(tmp_path: Path) -> None:
    path = write_tagger(tmp_path, chain=True, encoder=TWO_WAY)
    replace(path, "transitions.json", '{"first": []}')
    with pytest.raises(BundleRefused, match=r"transitions\.json: wants the numbers"):
        Bundle.read(path)


def test_a_model_that_streams_chooses_each_label_alone(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="not taken back"):
        tagger_run(chain=True)
    path = write_tagger(tmp_path, chain=True, encoder=TWO_WAY)
    manifest = json.loads((path / "manifest.json").read_text("utf-8"))
    manifest |= {"streams": True, "why_not_streaming": ""}
    (path / "manifest.json").write_text(json.dumps(manifest), "utf-8")
    with pytest.raises(BundleRefused, match="transitions: are for a graph"):
        Bundle.read(path)


def test_only_a_model_that_leaves_words_out_has_a_bound_for_them(tmp_path: Path) -> None:
    path = write_tagger(tmp_path)
    manifest = json.loads((path / "manifest.json").read_text("utf-8")) | {"keep_above": 0.4}
    (path / "manifest.json").write_text(json.dumps(manifest), "utf-8")
    with pytest.raises(BundleRefused, match="keep_above: is for models that leave words out"):
        Bundle.read(path)


def test_the_bound_for_words_is_the_best_on_dev() -> None:
    task = export_of(deleter_run())
    given = [Compressed("one two three four", "one two three"), Compressed("five six", "five")]
    keep = iter(([0.9, 0.45, 0.42, 0.3], [0.8, 0.37]))
    answers = []
    for each in given:
        words = [word.text for word in words_of(each.text, "edges")]
        ends = subwords_of(task.run.vocabulary.tokenizer, words)[1]
        answer = np.full((ends[-1] + 1, 2), np.nan)
        answer[ends] = [[np.log(1 - p), np.log(p)] for p in next(keep)]
        answers.append(answer)
    assert task.score(answers, given) < 100
    task.settle(answers, given)
    assert task.score(answers, given) == 100
    assert 0.37 <= task.facts(task.graphs(ARITHMETICS["fp32"]())).keep_above < 0.42


def replace(path: Path, file: str, text: str) -> None:
    """Another content of a bundle's file, with the hash of it."""
    manifest = json.loads((path / "manifest.json").read_text("utf-8"))
    manifest["files"][file] = hashlib.sha256(text.encode()).hexdigest()
    (path / "manifest.json").write_text(json.dumps(manifest), "utf-8")
    (path / file).write_text(text, "utf-8")


def test_a_model_that_deletes_has_no_other_labels_than_its_two(tmp_path: Path) -> None:
    path = write_deleter(tmp_path)
    replace(path, "labels.txt", "keep\ndrop\n")
    with pytest.raises(BundleRefused, match="wants drop, keep"):
        Bundle.read(path)
