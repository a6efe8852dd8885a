"""The examples do what they say: scripts against a real server, requests against the protos."""

import json
import re
import subprocess
import sys

import pytest
from google.protobuf import json_format
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health_pb2

from seqserve.v1 import model_pb2, sequence_pb2
from tests.service.cli.process import ROOT, Process
from tests.system.conftest import Running

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

GRPCURL = (ROOT / "examples" / "grpcurl.md").read_text(encoding="utf-8")
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


@pytest.mark.parametrize("command", re.findall(r"^grpcurl (.*?)(?:\n```|\nMESSAGES)", GRPCURL, re.M | re.S))
def test_every_grpcurl_command_names_a_method_and_fits_its_request(command: str) -> None:
    called = re.search(r"(\S+)/(\w+)(?: |$)", command.splitlines()[0 if "<<" in command else -1])
    if called is None:
        assert re.search(r" (list|describe)\b", command)
        return
    method = SERVICES[called[1]].methods_by_name[called[2]]
    for text in re.findall(r"-d '(.*?)'|^(\{.*\})$", command, re.M):
        json_format.ParseDict(json.loads("".join(text)), GetMessageClass(method.input_type)())
