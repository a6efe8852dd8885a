"""Models that label words, and models that copy, are exported as PyTorch has them, exact by row and in chunks."""

import hashlib
import itertools
from pathlib import Path

import pytest
import torch

from service.bundle import Bundle
from service.errors import BundleRefused
from tests.bundles import SLOTS, write_deleter, write_summarizer, write_tagger
from training.config import Seq2SeqSection, TaggerSection
from training.export.arithmetic import ARITHMETICS
from training.export.check import TOLERANCE, ExportRefused, Runner
from training.export.check_seq2seq import Seq2SeqCheck
from training.export.check_tagger import TaggerCheck
from training.export.copying import CopyingGraphs
from training.export.tagger import TaggerGraphs
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


def test_a_model_that_deletes_has_no_other_labels_than_its_two(tmp_path: Path) -> None:
    path = write_deleter(tmp_path)
    (path / "labels.txt").write_text("keep\ndrop\n", "utf-8")
    manifest = (path / "manifest.json").read_text("utf-8")
    old, new = (hashlib.sha256(text.encode()).hexdigest() for text in ("drop\nkeep\n", "keep\ndrop\n"))
    (path / "manifest.json").write_text(manifest.replace(old, new), "utf-8")
    with pytest.raises(BundleRefused, match="wants drop, keep"):
        Bundle.read(path)
