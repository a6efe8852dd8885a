"""Models that were made elsewhere, from the file to what the engine answers."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from service.bundle import Bundle
from service.config import EngineSettings
from service.engine.onnx import OnnxEngine
from service.errors import BundleRefused
from service.importing import Imported, Wishes, import_model
from service.importing import importer as importer_module
from service.step import Arrays, Step
from tests.conftest import Missing
from tests.fakes.foreign_graphs import FEATURES, write_mixing, write_operator, write_sum

FOREIGN = Path(__file__).with_name("foreign")


def imported(path: Path, **wishes: Any) -> Imported:
    return import_model(path, path.parent / "models", path.stem, wishes=Wishes(**wishes))


def stepped(found: Imported, rows: np.ndarray[Any, Any], given: str) -> list[list[Arrays]]:
    """Outputs of each row `[rows, time, …]`, all rows in one batch, one moment after the other."""
    engine = OnnxEngine(Bundle.read(found.path), EngineSettings())
    states: list[Arrays] = [{}] * len(rows)
    said: list[list[Arrays]] = [[] for _ in rows]
    for at in range(rows.shape[1]):
        steps = [
            Step("step", {given: row[at : at + 1]}, state) for row, state in zip(rows, states, strict=True)
        ]
        results = engine.run("step", steps)
        states = [result.state for result in results]
        for outputs, result in zip(said, results, strict=True):
            outputs.append(result.outputs)
    return said


@pytest.mark.parametrize("operator", ["LSTM", "GRU", "RNN"])
def test_an_operator_of_onnx_steps_as_it_runs_whole(tmp_path: Path, operator: str) -> None:
    path = write_operator(tmp_path, operator)
    found = imported(path)
    x = np.random.default_rng(1).normal(size=(3, 5, FEATURES)).astype(np.float32)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    zeros = {name: np.zeros((1, 3, 12), np.float32) for name in found.states}
    whole = session.run(["Y"], {"X": x.transpose(1, 0, 2), **zeros})[0]  # [time, 1, batch, hidden]
    for row, outputs in enumerate(stepped(found, x, "X")):
        joined = np.concatenate([each["Y"] for each in outputs])
        assert joined == pytest.approx(whole[:, :, row], abs=1e-5)


def test_batch_and_time_are_where_the_file_has_them(tmp_path: Path) -> None:
    spec = imported(write_operator(tmp_path, "LSTM")).graph
    x, h, c = spec.inputs
    assert (x.axes, x.batch_axis, x.role) == (("batch", "time", FEATURES), 1, "input")
    assert (h.axes, h.batch_axis, h.role, c.name) == (("batch", 1, 12), 1, "state", "initial_c")
    y, h_after, _ = spec.outputs
    assert (y.axes, y.batch_axis) == (("batch", "time", 1, 12), 2)
    assert (h_after.name, h_after.tensor) == ("initial_h", "Y_h")
    assert (spec.chunk, spec.max_rows) == (1, None)


def test_the_file_itself_is_not_changed(tmp_path: Path) -> None:
    path = write_operator(tmp_path, "GRU")
    assert (imported(path).path / "model.onnx").read_bytes() == path.read_bytes()


def test_rows_that_answer_otherwise_in_company_run_alone_unless_that_is_tolerated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importer_module, "check_company", lambda *arguments: 1e-6)
    path = write_operator(tmp_path, "GRU")
    assert imported(path).graph.max_rows == 1
    again = import_model(path, tmp_path / "again", "gru", wishes=Wishes(tolerance=1e-5))
    assert again.graph.max_rows is None
    strict = import_model(path, tmp_path / "strict", "gru", wishes=Wishes(tolerance=1e-7))
    assert strict.graph.max_rows == 1


def test_a_file_with_a_batch_of_one_runs_one_row_at_a_time(tmp_path: Path) -> None:
    found = imported(write_sum(tmp_path, batch=1))
    assert found.graph.max_rows == 1
    engine = OnnxEngine(Bundle.read(found.path), EngineSettings())
    engine.warm_up()
    state: Arrays = {}
    for number, total in ((1, 1), (2, 3), (40, 43)):
        [result] = engine.run("step", [Step("step", {"numbers": np.array([number], np.int32)}, state)])
        assert result.outputs["total"].tolist() == [total]
        state = result.state


@pytest.mark.parametrize("batch", ["n", None])
def test_types_and_sizes_without_names_are_kept(tmp_path: Path, batch: Any) -> None:
    numbers, before = imported(write_sum(tmp_path, batch=batch)).graph.inputs
    assert (numbers.dtype, before.dtype, before.axes) == ("int32", "float64", ("batch", 1))


def test_names_that_say_nothing_can_be_paired_by_hand(tmp_path: Path) -> None:
    path = write_sum(tmp_path, names=("before", "after"))
    with pytest.raises(BundleRefused, match="--state"):
        imported(path)
    assert imported(path, states={"before": "after"}).states == {"before": "after"}


def test_a_model_that_reads_both_ways_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleRefused, match=r"stepping does not equal running whole.*both directions"):
        imported(write_operator(tmp_path, "GRU", two_way=True))
    assert not list((tmp_path / "models").iterdir())


def test_a_model_whose_rows_meet_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleRefused, match=r"two rows together.*--batch-axis"):
        imported(write_mixing(tmp_path))


def test_axes_can_be_said_and_wrong_ones_are_refused(tmp_path: Path) -> None:
    path = write_operator(tmp_path, "RNN")
    with pytest.raises(BundleRefused, match="no choice of the batch's place"):
        imported(path, batch_axes={"X": 0})
    with pytest.raises(BundleRefused, match="X has 3 axes, so there is no axis 3"):
        imported(path, batch_axes={"X": 3})
    assert imported(path, batch_axes={"X": 1}, time_axes={"X": 0}).graph.inputs[0].batch_axis == 1


def test_what_is_no_model_or_is_there_already_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "text.onnx"
    path.write_text("no model")
    with pytest.raises(BundleRefused, match="ONNX Runtime cannot load it"):
        imported(path)
    good = write_sum(tmp_path)
    imported(good)
    with pytest.raises(BundleRefused, match="is there already"):
        imported(good)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_what_pytorch_s_exporters_write_is_served_old_and_new(tmp_path: Path, missing: Missing) -> None:
    torch = pytest.importorskip("torch")
    try:
        import onnxscript  # noqa: F401
    except ModuleNotFoundError:
        missing("onnxscript")

    class Net(torch.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.rnn = torch.nn.LSTM(8, 16, 2, batch_first=True)
            self.head = torch.nn.Linear(16, 5)

        def forward(self, x: Any, h0: Any, c0: Any) -> Any:
            y, (hn, cn) = self.rnn(x, (h0, c0))
            return self.head(y), hn, cn

    torch.manual_seed(0)
    net = Net().eval()
    example = (torch.randn(3, 4, 8), torch.zeros(2, 3, 16), torch.zeros(2, 3, 16))
    names = {"input_names": ["x", "h0", "c0"], "output_names": ["y", "hn", "cn"]}
    free = {
        "x": {0: "batch", 1: "time"},
        "h0": {1: "batch"},
        "c0": {1: "batch"},
        "y": {0: "batch", 1: "time"},
    }
    old, new = tmp_path / "old.onnx", tmp_path / "new.onnx"
    torch.onnx.export(net, example, str(old), dynamo=False, dynamic_axes=free, **names)
    any_size = torch.export.Dim.DYNAMIC
    shapes = ({0: any_size, 1: any_size}, {1: any_size}, {1: any_size})
    torch.onnx.export(net, example, str(new), dynamo=True, dynamic_shapes=shapes, verbose=False, **names)
    x = np.random.default_rng(1).normal(size=(2, 5, 8)).astype(np.float32)
    with torch.no_grad():
        expected = net(torch.from_numpy(x), torch.zeros(2, 2, 16), torch.zeros(2, 2, 16))[0].numpy()
    for path in (old, new):
        found = imported(path)
        assert found.states == {"h0": "hn", "c0": "cn"}
        for row, outputs in enumerate(stepped(found, x, "x")):
            assert np.concatenate([each["y"] for each in outputs]) == pytest.approx(expected[row], abs=1e-5)


def test_what_tensorflow_s_converter_wrote_is_served(tmp_path: Path) -> None:
    """A Keras LSTM, a GRU on top of it (a Loop in the file) and a softmax, converted by tf2onnx 1.17 with TensorFlow
    2.21; beside it what TensorFlow answers to twelve frames."""
    path = Path(shutil.copy(FOREIGN / "tf2onnx.onnx", tmp_path))
    said = np.load(FOREIGN / "tf2onnx.npz")
    found = imported(path)
    assert found.states == {"h_in": "h_out", "c_in": "c_out", "g_in": "g_out"}
    [outputs] = stepped(found, said["frames"][None], "frames")
    assert np.concatenate([each["scores"] for each in outputs]) == pytest.approx(said["scores"], abs=1e-6)
