"""Triton's client and its load generator against the shipped models, each in a process of its own."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from seqserve.inference import grpc_service_pb2, model_config_pb2
from service.api.inference.offer import TEXT_OUTPUTS
from service.bundle.manifest import Manifest
from service.importing import import_model
from service.tasks.tensors import answers_of
from tests.conftest import Missing
from tests.fakes.foreign_graphs import write_operator, write_sum
from tests.service.cli.process import ROOT
from tests.system.conftest import Running, serving
from tests.system.triton_tools import perf_analyzer, triton_python

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

Ask = Callable[[str], Any]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("triton")
    models = folder / "models"
    shutil.copytree(ROOT / "models", models)
    import_model(write_sum(folder), models, "sum")
    import_model(write_operator(folder, "GRU"), models, "gru")
    with serving(models) as running:
        yield running


@pytest.fixture
def ask(server: Running, missing: Missing) -> Ask:
    python = triton_python(missing)

    def run(kind: str) -> Any:
        script = Path(__file__).with_name("triton_script.py")
        ran = subprocess.run(
            [python, script, kind, server.address], env=_bare(), capture_output=True, text=True, timeout=200
        )
        assert ran.returncode == 0, ran.stderr
        return json.loads(ran.stdout)

    return run


def test_the_wire_is_triton_s(ask: Ask) -> None:
    seen = ask("wire")
    for file in (grpc_service_pb2, model_config_pb2):
        for message in file.DESCRIPTOR.message_types_by_name.values():
            _assert_same_wire(message, seen["messages"])
    service = grpc_service_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"]
    assert {method.name for method in service.methods} == set(seen["methods"])


def _assert_same_wire(message: Any, theirs: dict[str, dict[str, list[Any]]]) -> None:
    for field in message.fields:
        expected = [field.number, field.type, field.is_repeated]
        assert theirs[message.full_name][field.name] == expected, f"{message.full_name}.{field.name}"
    for nested in message.nested_types:
        _assert_same_wire(nested, theirs)


def test_the_synchronous_client_runs_sequences(ask: Ask) -> None:
    seen = ask("sync")
    assert seen["ready"]
    assert seen["same"]
    assert seen["sums"] == {"one": [1, 3, 6, 10, 15], "two": [-1, -3, -6, -10, -15]}


def test_the_asynchronous_client_runs_many_sequences_at_once(ask: Ask) -> None:
    seen = ask("asynchronous")
    assert seen["totals"] == [10 * sequence for sequence in range(1, 41)]
    assert seen["streamed"] == [0, 1, 3, 6, 10, 15, 21, 28, 36, 45]


def test_a_stream_carries_several_sequences_and_outlives_an_error(ask: Ask) -> None:
    seen = ask("streaming")
    for sequence in (100, 200):
        totals = [seen["found"][f"{sequence}_{index}"] for index in range(8)]
        assert totals == [sum(sequence + i for i in range(index + 1)) for index in range(8)]
    assert seen["found"]["alone"] == 5
    assert seen["order"] == [f"{sequence}_{index}" for index in range(8) for sequence in (100, 200)] + [
        "alone"
    ]
    [error] = seen["errors"]
    assert "no sequence 999" in error


def test_what_is_offered_is_told_and_nothing_else(ask: Ask) -> None:
    seen = ask("about")
    assert {"sequence", "sequence(string_id)", "statistics", "model_configuration"} <= set(seen["extensions"])
    assert not {"system_shared_memory", "trace", "logging", "classification"} & set(seen["extensions"])
    assert [status for status, _ in seen["unsupported"]] == ["StatusCode.UNIMPLEMENTED"] * 3
    assert seen["config"]["sequence_batching"]["state"][0]["input_name"] == "sum_in"
    assert int(seen["statistics"]["inference_stats"]["success"]["count"]) >= 1
    assert {model["name"] for model in seen["index"]} >= {"snips-intents", "sum", "gru"}


def test_the_example_runs_against_the_shipped_models(server: Running, missing: Missing) -> None:
    example = ROOT / "examples" / "triton_sequences.py"
    ran = subprocess.run(
        [triton_python(missing), example, server.address],
        env=_bare(),
        capture_output=True,
        text=True,
        timeout=250,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert re.search(r"^translated: \w+", ran.stdout)
    assert "'be tomorrow ': GetWeather" in ran.stdout
    assert ran.stdout.endswith("bit for bit: True\n")


def test_priority_and_timeout_have_an_effect(ask: Ask, server: Running) -> None:
    before = server.metric("seqserve_queue_wait_seconds_count", priority="high")
    seen = ask("urgent")
    assert seen["same"]
    assert seen["late"] == "StatusCode.DEADLINE_EXCEEDED"
    assert server.metric("seqserve_queue_wait_seconds_count", priority="high") == before + 1


def shipped() -> Iterator[list[str]]:
    """Each model, under its own name: text, or its first answering graph's tensors, 20 long if they may be."""
    for file in sorted(ROOT.glob("models/*/*/manifest.json")):
        manifest = Manifest.model_validate_json(file.read_bytes())
        if manifest.task in TEXT_OUTPUTS:
            yield ["-m", manifest.name, "--string-data", "¿Dónde está la biblioteca?"]
            continue
        graph = next(graph for graph in manifest.graphs.values() if answers_of(graph))
        inputs = [t for t in graph.inputs if t.role == "input"]
        sizes = [
            (t.name, ["20" if isinstance(axis, str) else str(axis) for axis in t.axes[1:]]) for t in inputs
        ]
        shapes = [part for name, size in sizes if size for part in ("--shape", f"{name}:{','.join(size)}")]
        yield ["-m", manifest.name, "--streaming", "--input-data", "zero", *shapes]


@pytest.mark.parametrize(
    "arguments",
    [
        *shipped(),
        ["-m", "snips-intents", "--streaming", "--string-data", "play some jazz "],
        ["-m", "snips-intents.classify", "--input-data", "zero", "--shape", "tokens:3"],
        ["-m", "sum", "--async"],
        ["-m", "gru", "--shape", "X:2,6", "--streaming"],
    ],
    ids=lambda arguments: arguments[1],
)
def test_the_load_generator_runs_unchanged(server: Running, missing: Missing, arguments: list[str]) -> None:
    binary, environment = perf_analyzer(missing)
    fixed = ["-u", server.address, "-i", "grpc", "--concurrency-range", "4", "--sequence-length", "5"]
    counted = ["--request-count", "200"]
    ran = subprocess.run(
        [binary, *arguments, *fixed, *counted], env=environment, capture_output=True, text=True, timeout=250
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert re.search(r"throughput: [1-9]", ran.stdout)
    assert "error" not in ran.stdout.lower()


def _bare() -> dict[str, str]:
    """Nothing of ours on the path."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
