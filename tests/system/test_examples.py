"""The examples do what they say: scripts against a real server, requests against the protos."""

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from google.protobuf import json_format
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health_pb2

from seqserve.v1 import model_pb2, sequence_pb2
from tests.service.cli.process import ROOT, Process
from tests.system.conftest import Running, serving
from tests.training.signals import tone, write_wav

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

GRPCURL = (ROOT / "examples" / "grpcurl.md").read_text(encoding="utf-8")
SCRIPTS = [
    path
    for path in sorted((ROOT / "examples").glob("*.py"))
    if path.stem not in ("plainly", "triton_sequences")
]
SERVICES = {
    service.full_name: service
    for file in (model_pb2, sequence_pb2, health_pb2)
    for service in file.DESCRIPTOR.services_by_name.values()
}


@pytest.mark.parametrize("name", ["stream_translate", "live_classify", "async_many_streams"])
def test_an_example_runs(name: str, running: Running) -> None:
    environment = {**Process(running.address).environment, "SEQSERVE_MODEL": "toy-intents"}
    command = [sys.executable, str(ROOT / "examples" / f"{name}.py")]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=100)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert len(ran.stdout.splitlines()) >= 2


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_an_example_says_which_models_it_needs_and_whether_they_are_shipped(path: Path) -> None:
    told = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    needs = re.findall(r"\bmodels? ([\w-]+)((?:[^.:]|\.(?=\w))*)", told.partition("\nNeeds the ")[2])
    assert needs, "Needs the model NAME, which is (not) shipped."
    for name, about in needs:
        assert ("which is shipped" in about) == (ROOT / "models" / name).is_dir(), name
        assert "shipped" in about


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_where_its_model_is_not_served_an_example_says_so_in_a_sentence(
    path: Path, elsewhere: str, tmp_path: Path
) -> None:
    write_wav(tmp_path / "said.wav", tone(400, seconds=0.5))
    ran = example(path, elsewhere, tmp_path)
    assert (ran.returncode, ran.stdout) == (1, "")
    assert "there are: toy-signals" in ran.stderr
    assert ran.stderr.count("\n") <= 2


def test_where_no_server_answers_an_example_says_how_to_start_one(tmp_path: Path) -> None:
    ran = example(ROOT / "examples" / "chat.py", "127.0.0.1:1", tmp_path)
    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr == "no server answers at 127.0.0.1:1; start one with: seqserve serve\n"


def test_a_recording_that_cannot_be_read_is_named_in_a_sentence(running: Running, tmp_path: Path) -> None:
    ran = example(ROOT / "examples" / "transcribe.py", running.address, tmp_path)
    assert (ran.returncode, ran.stdout, ran.stderr) == (1, "", "said.wav: No such file or directory\n")
    (tmp_path / "said.wav").write_bytes(b"ID3" * 100)
    ran = example(ROOT / "examples" / "transcribe.py", running.address, tmp_path)
    assert (ran.returncode, ran.stdout, ran.stderr.count("\n")) == (1, "", 1)
    assert "(WAV)" in ran.stderr


def example(path: Path, address: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    environment = Process(address).environment
    environment.pop("SEQSERVE_MODEL", None)
    return subprocess.run(
        [sys.executable, str(path)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
    )


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server with a model that no example is for."""
    from tests.bundles import write_predictor  # torch takes a moment to import

    models = tmp_path_factory.mktemp("models")
    write_predictor(models, "toy-signals", names=("value",))
    with serving(models) as running:
        yield running.address


@pytest.mark.parametrize("command", re.findall(r"^grpcurl (.*?)(?:\n```|\nMESSAGES)", GRPCURL, re.M | re.S))
def test_every_grpcurl_command_names_a_method_and_fits_its_request(command: str) -> None:
    called = re.search(r"(\S+)/(\w+)(?: |$)", command.splitlines()[0 if "<<" in command else -1])
    if called is None:
        assert re.search(r" (list|describe)\b", command)
        return
    method = SERVICES[called[1]].methods_by_name[called[2]]
    for text in re.findall(r"-d '(.*?)'|^(\{.*\})$", command, re.M):
        json_format.ParseDict(json.loads("".join(text)), GetMessageClass(method.input_type)())
