import json
import signal
import subprocess
from pathlib import Path

import grpc
import numpy as np
import pytest

from seqserve.inference import grpc_service_pb2 as wire
from seqserve.inference import grpc_service_pb2_grpc
from tests.fakes.foreign_graphs import write_operator, write_sum
from tests.service.cli.process import PATIENCE_S, Process
from tests.system.conftest import _address

run = Process()


def test_an_import_says_what_it_found_and_what_to_do_next(tmp_path: Path) -> None:
    ran = run("import", str(write_sum(tmp_path)), "--name", "total", "--out", str(tmp_path / "models"))
    assert (ran.code, ran.err) == (0, "")
    assert "input  numbers int32 [batch, 1]" in ran.out
    assert "state  sum_in → sum_out" in ran.out
    assert "the same bits in any company" in ran.out
    assert f"seqserve serve --models {tmp_path / 'models'}" in ran.out
    manifest = json.loads((tmp_path / "models" / "total" / "1" / "manifest.json").read_text())
    assert (manifest["task"], manifest["tokenizer"]) == ("tensors", None)


def test_what_cannot_be_told_is_asked_for_on_one_line(tmp_path: Path) -> None:
    path = write_sum(tmp_path, names=("before", "after"))
    ran = run("import", str(path), "--out", str(tmp_path / "models"))
    assert (ran.code, ran.out) == (1, "")
    assert "--state INPUT=OUTPUT" in ran.err
    paired = run("import", str(path), "--out", str(tmp_path / "models"), "--state", "before=after")
    assert paired.code == 0


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--state", "before"], "--state wants NAME=…, not 'before'"),
        (["--batch-axis", "numbers=first"], "wants a whole number behind the =, not 'first'"),
    ],
)
def test_options_that_are_no_pairs_are_refused(tmp_path: Path, arguments: list[str], why: str) -> None:
    ran = run("import", str(write_sum(tmp_path)), *arguments)
    assert ran.code == 2
    assert why in ran.err


def test_a_file_that_is_not_there_is_refused() -> None:
    ran = run("import", "nowhere.onnx")
    assert (ran.code, ran.err) == (2, "seqserve: there is no file nowhere.onnx\n")


def test_a_file_is_served_by_one_command(tmp_path: Path) -> None:
    process = run.start(
        "serve", str(write_operator(tmp_path, "GRU")), "--port", "0", stderr=subprocess.DEVNULL
    )
    try:
        with grpc.insecure_channel(_address(process)) as channel:
            stub = grpc_service_pb2_grpc.GRPCInferenceServiceStub(channel)
            request = wire.ModelInferRequest(model_name="gru")
            request.inputs.add(name="X", datatype="FP32", shape=[1, 2, 6])
            request.raw_input_contents.append(np.ones((1, 2, 6), np.float32).tobytes())
            answer = stub.ModelInfer(request)
        assert list(answer.outputs[0].shape) == [1, 2, 1, 12]
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 0
    finally:
        process.kill()
        process.communicate()


def test_a_file_and_a_folder_are_not_served_together(tmp_path: Path) -> None:
    ran = run("serve", str(write_sum(tmp_path)), "--models", str(tmp_path))
    assert ran.code == 2
    assert "leave --models out" in ran.err


def test_the_doctor_tries_what_was_imported(tmp_path: Path) -> None:
    models = tmp_path / "models"
    run("import", str(write_operator(tmp_path, "GRU")), "--out", str(models))
    ran = run("doctor", "--models", str(models))
    assert "gru/1 tried" in ran.out
    assert "bit-equal alone and in the batch" in ran.out
