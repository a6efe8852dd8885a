"""The exporter writes graphs that do what PyTorch does, row by row, or writes nothing."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from service.bundle import Bundle
from service.engine.products import make_exact
from tests.bundles import write_classifier, write_translator
from training.config import ClassifierSection, Seq2SeqSection
from training.export import attention, bundle
from training.export.arithmetic import ARITHMETICS, Arithmetic, Factor, Float32, RowwiseInt8, Weights
from training.export.check import TOLERANCE, ExportRefused, Runner
from training.export.check_classifier import ClassifierCheck
from training.export.check_seq2seq import Seq2SeqCheck
from training.export.classifier import ClassifierGraphs
from training.export.graph import Graph, Value
from training.export.seq2seq import Seq2SeqGraphs
from training.models.classifier import Classifier
from training.models.seq2seq import Seq2Seq

SHAPES = [
    *itertools.product(("rnn", "lstm", "gru"), (False, True), (1, 2), ("luong",)),
    *itertools.product(("lstm", "gru", "mingru"), (False, True), (2,), ("none", "bahdanau")),
    *itertools.product(("lstm", "mingru"), (False, True), (2,), ("luong-dot", "luong-concat")),
]


torch.set_num_threads(1)  # these models are too small for more


def seq2seq(
    cell: str, two_way: bool, layers: int, kind: str, tied: str = "all", hidden: int = 50, **more: bool
) -> tuple[Seq2Seq, Seq2SeqSection]:
    encoder = {"cell": cell, "layers": layers, "hidden": 37, "bidirectional": two_way, **more}
    hidden = 37 * (1 + two_way) if kind == "luong-dot" else hidden
    decoder = {"cell": cell, "layers": layers, "hidden": hidden, "attention": kind, **more}
    section = Seq2SeqSection.model_validate(
        {"embedding": 33, "tied": tied, "encoder": encoder, "decoder": decoder}
    )
    torch.manual_seed(0)
    return Seq2Seq(section, 120).eval(), section


def check(model: Seq2Seq, section: Seq2SeqSection, numbers: Arithmetic, tolerance: float | None) -> float:
    graphs = Seq2SeqGraphs(model, section, numbers).graphs()
    return Seq2SeqCheck(model, {name: Runner(*pair) for name, pair in graphs.items()}, tolerance).run()


@pytest.mark.parametrize(("cell", "two_way", "layers", "kind"), SHAPES)
def test_translators_equal_pytorch_alone_in_batches_and_in_chunks(
    cell: str, two_way: bool, layers: int, kind: str
) -> None:
    model, section = seq2seq(cell, two_way, layers, kind)
    assert check(model, section, Float32(), TOLERANCE) < 1e-5
    assert check(model, section, RowwiseInt8(), None) < 0.01


@pytest.mark.parametrize("kind", ["luong", "bahdanau"])
@pytest.mark.parametrize("cell", ["lstm", "mingru"])
def test_deep_stacks_with_residual_connections_and_norms_equal_pytorch(cell: str, kind: str) -> None:
    two_way = cell == "lstm"
    model, section = seq2seq(cell, two_way, 4, kind, residual=True, norm=True)
    assert check(model, section, Float32(), TOLERANCE) < 1e-5
    assert check(model, section, RowwiseInt8(), None) < 0.02


@pytest.mark.parametrize("tied", ["all", "output", "none"])
def test_tied_and_untied_matrices_are_told_apart(tied: str) -> None:
    assert check(*seq2seq("lstm", True, 1, "luong", tied), Float32(), TOLERANCE) < 1e-5


@pytest.mark.parametrize(
    ("cell", "two_way", "pooling"),
    list(itertools.product(("rnn", "lstm", "gru", "mingru"), (False, True), ("last", "max", "last-max"))),
)
def test_classifiers_equal_pytorch_alone_in_batches_and_in_chunks(
    cell: str, two_way: bool, pooling: str
) -> None:
    encoder = {"cell": cell, "layers": 2, "hidden": 37, "bidirectional": two_way}
    section = ClassifierSection.model_validate({"embedding": 33, "pooling": pooling, "encoder": encoder})
    torch.manual_seed(0)
    equal_to_pytorch(Classifier(section, 120, 7).eval(), section)


@pytest.mark.parametrize("two_way", [False, True])
def test_a_bounded_last_state_beside_a_largest_output_of_any_size_equals_pytorch(two_way: bool) -> None:
    encoder = {"layers": 2, "hidden": 20, "residual": True, "bidirectional": two_way}
    section = ClassifierSection.model_validate({"embedding": 20, "pooling": "last-max", "encoder": encoder})
    torch.manual_seed(0)
    equal_to_pytorch(Classifier(section, 60, 3).eval(), section)


@pytest.mark.parametrize("two_way", [False, True])
def test_what_words_tell_by_themselves_equals_pytorch_too(two_way: bool) -> None:
    encoder = {"hidden": 20, "bidirectional": two_way}
    section = ClassifierSection.model_validate({"embedding": 9, "word_counts": True, "encoder": encoder})
    torch.manual_seed(0)
    model = Classifier(section, 60, 3).eval()
    assert model.counts is not None
    model.counts.count((torch.randint(4, 60, (9,)).tolist(), label) for label in [0, 1, 1, 2, 2, 2] * 5)
    equal_to_pytorch(model, section)


@pytest.mark.parametrize(
    ("two_way", "pooling"), [(False, "max"), (False, "last"), (True, "max"), (False, "last-max")]
)
def test_the_mean_of_several_members_equals_pytorch_too(two_way: bool, pooling: str) -> None:
    encoder = {"hidden": 20, "bidirectional": two_way}
    table = {"embedding": 9, "members": 3, "pooling": pooling, "encoder": encoder}
    section = ClassifierSection.model_validate(table)
    torch.manual_seed(0)
    equal_to_pytorch(Classifier(section, 60, 3).eval(), section)


def equal_to_pytorch(model: Classifier, section: ClassifierSection) -> None:
    for name, numbers in ARITHMETICS.items():
        graphs = ClassifierGraphs(model, section, numbers()).graphs()
        runners = {graph: Runner(*pair) for graph, pair in graphs.items()}
        tolerance = TOLERANCE if name == "fp32" else None
        assert ClassifierCheck(model, runners, tolerance).run() < 0.01


def test_graphs_of_other_weights_are_refused() -> None:
    model, section = seq2seq("lstm", True, 1, "luong")
    graphs = Seq2SeqGraphs(model, section, Float32()).graphs()
    runners = {name: Runner(*pair) for name, pair in graphs.items()}
    with torch.no_grad():
        model.decoder.recurrence.weight_hh_l0[0, 0] += 0.5  # type: ignore[index,operator]
    with pytest.raises(ExportRefused, match="away from PyTorch"):
        Seq2SeqCheck(model, runners, TOLERANCE).run()


class BatchwiseInt8(RowwiseInt8):
    """The stock recipe: one scale for the whole batch."""

    def bounded(self, graph: Graph, x: Value) -> Factor:
        largest = graph.op("ReduceMax", graph.op("Abs", x), keepdims=0)
        return super().bounded(graph, graph.op("Div", x, largest))


def test_a_scale_shared_by_the_batch_is_refused() -> None:
    with pytest.raises(ExportRefused, match="bit for bit"):
        check(*seq2seq("lstm", True, 1, "luong"), BatchwiseInt8(), None)


def test_padding_that_changes_the_order_of_a_sum_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention, "PAD", 1)
    with pytest.raises(ExportRefused, match="bit for bit"):
        check(*seq2seq("lstm", True, 1, "luong", hidden=64), Float32(), TOLERANCE)


def product(numbers: Arithmetic, weights: Weights) -> ort.InferenceSession:
    graph = Graph("product")
    x = graph.input("x", "float32", ["batch", weights.matrix.shape[1]])
    graph.output(
        numbers.linear(graph, numbers.factor(graph, x), weights),
        "y",
        "float32",
        ["batch", len(weights.matrix)],
    )
    options = ort.SessionOptions()
    make_exact(options)  # as the server and the exporter do: a CPU without VNNI cuts sums off otherwise
    return ort.InferenceSession(graph.model().SerializeToString(), options)


MATRIX = np.random.default_rng(0).normal(size=(11, 24)).astype(np.float32)
SESSION = product(RowwiseInt8(), Weights(MATRIX, np.ones(11, np.float32)))
ROWS = arrays(np.float32, st.tuples(st.integers(1, 9), st.just(24)), elements=st.floats(-1e4, 1e4, width=32))


@given(ROWS)
def test_eight_bit_products_are_near_and_exact_by_row(rows: Any) -> None:
    (found,) = SESSION.run(None, {"x": rows})
    steps = np.abs(rows).max(axis=1, keepdims=True) / 127
    grain = np.abs(MATRIX).max(axis=1) / 127
    bound = (
        0.5 * steps * np.abs(MATRIX).sum(axis=1) + 0.5 * grain * (np.abs(rows) + steps).sum(axis=1)[:, None]
    )
    assert np.all(np.abs(found - (rows @ MATRIX.T + 1)) <= 1.01 * bound + 1e-3)
    for number, row in enumerate(rows):
        assert np.array_equal(SESSION.run(None, {"x": row[None]})[0][0], found[number])


def test_a_row_of_zeros_gives_the_bias() -> None:
    (found,) = SESSION.run(None, {"x": np.zeros((2, 24), np.float32)})
    assert np.array_equal(found, np.ones((2, 11), np.float32))


def test_a_tied_matrix_is_stored_once_in_a_graph() -> None:
    model, section = seq2seq("lstm", True, 1, "luong")
    graph, _ = Seq2SeqGraphs(model, section, RowwiseInt8()).step()
    shape = list(model.output.weight.shape)
    kept = [list(tensor.dims) for tensor in graph.model().graph.initializer]
    assert kept.count(shape) == 1


def test_bundles_are_readable_and_tell_whether_they_stream(tmp_path: Path) -> None:
    two_way = Bundle.read(write_translator(tmp_path)).manifest
    one_way = Bundle.read(write_translator(tmp_path, "toy-one-way", encoder={"hidden": 24})).manifest
    classifier = Bundle.read(write_classifier(tmp_path))
    assert (two_way.streams, one_way.streams) == (False, True)
    assert "both directions" in two_way.why_not_streaming
    assert classifier.manifest.streams
    assert len(classifier.labels) == 3


def test_no_graph_has_a_frozen_axis(tmp_path: Path) -> None:
    path = write_translator(tmp_path)
    for name in ("encode.onnx", "step.onnx"):
        graph = onnx.load(path / name).graph
        ragged = [dim.dim_param for value in graph.input for dim in value.type.tensor_type.shape.dim]
        assert {"batch", "source"} <= set(ragged)


def test_a_place_that_is_taken_is_left_alone(tmp_path: Path) -> None:
    path = write_translator(tmp_path)
    before = (path / "manifest.json").read_bytes()
    with pytest.raises(ExportRefused, match="already"):
        write_translator(tmp_path, seed=1)
    assert (path / "manifest.json").read_bytes() == before


def test_a_full_disk_leaves_no_half_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(bundle, "write_card", full)
    with pytest.raises(ExportRefused, match="No space left"):
        write_translator(tmp_path)
    assert list((tmp_path / "toy-es-en").iterdir()) == []


def test_a_run_that_is_not_finished_says_so(tmp_path: Path) -> None:
    with pytest.raises(ExportRefused, match=r"no averaged\.pt"):
        bundle.export(tmp_path, tmp_path / "models")
