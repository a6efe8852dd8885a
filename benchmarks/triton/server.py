"""Starts Triton, and clients of it in their own process: its stubs and ours cannot be loaded side by side."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import free_port
from service.bundle import Bundle
from service.bundle.manifest import GraphSpec
from service.engine.products import products_are_exact

HERE = Path(__file__).parent
START_S = 60.0
MAX_SEQUENCES = 512
MAX_BATCH = 64
FIND = "import pytriton, onnxruntime, sys; print(pytriton.__path__[0], '%d.%d' % sys.version_info[:2])"

CONFIG = """
name: "steps"
backend: "python"
max_batch_size: {max_batch}
input [{{ name: "tokens" data_type: TYPE_INT64 dims: [ 1 ] }}]
output [{{ name: "log_probs" data_type: TYPE_FP32 dims: [ {labels} ] }}]
instance_group [{{ kind: KIND_CPU count: 1 }}]
sequence_batching {{
  max_sequence_idle_microseconds: 60000000
  oldest {{ max_candidate_sequences: {max_sequences} }}
  control_input [
    {{ name: "START" control [{{ kind: CONTROL_SEQUENCE_START int32_false_true: [ 0, 1 ] }}] }},
    {{ name: "CORRID" control [{{ kind: CONTROL_SEQUENCE_CORRID data_type: TYPE_UINT64 }}] }}
  ]
}}
"""
"""No waiting for more. The strategy `direct` was tried, too: a sixth less at 64 sequences, no more at 1 and 8."""


class NoTriton(Exception):
    """Why it is not measured."""


@dataclass(frozen=True, slots=True)
class Fed:
    """What its clients heard."""

    steps_per_s: float
    p50_ms: float
    p99_ms: float


@dataclass(frozen=True)
class Triton:
    """A Triton that serves the graph."""

    python: Path
    port: int
    told: str

    def feed(self, requests: Sequence[Sequence[int]], number: int, seconds: float) -> Fed:
        """So many sequences, each fed subword by subword."""
        given = json.dumps({"port": self.port, "number": number, "seconds": seconds, "requests": requests})
        command = [str(self.python), str(HERE / "feeding.py")]
        answer = subprocess.run(command, input=given, capture_output=True, text=True)
        if answer.returncode:
            raise RuntimeError(f"the clients of Triton failed: {answer.stderr[-2000:]}")
        return Fed(**json.loads(answer.stdout))


@contextmanager
def running_triton(python: Path | None, bundle: Bundle, folder: Path, threads: int) -> Iterator[Triton]:
    """A server with the graph `classify` of a bundle; NoTriton says why there is none."""
    python = python or Path(sys.executable)
    package, version = _find(python)
    backends = _lay_out(package, version, bundle, folder, threads)
    grpc_port, http_port = free_port(), free_port()
    command = [
        str(package / "tritonserver/bin/tritonserver"),
        f"--model-repository={folder / 'models'}",
        f"--backend-directory={backends}",
        f"--grpc-port={grpc_port}",
        f"--http-port={http_port}",
        "--allow-metrics=false",
        "--exit-timeout-secs=1",
    ]
    libraries = f"{package.parent / 'nvidia_pytriton.libs'}:{os.environ.get('LD_LIBRARY_PATH', '')}"
    path = f"{python.absolute().parent}:{os.environ['PATH']}"  # the backend's Python finds its packages by it
    environment = os.environ | {"LD_LIBRARY_PATH": libraries, "PATH": path}
    environment.pop("PYTHONPATH", None)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
    try:
        _wait(process, http_port, folder / "log")
        yield Triton(python, grpc_port, _told(http_port))
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()


def _find(python: Path) -> tuple[Path, str]:
    answer = subprocess.run([str(python), "-c", FIND], capture_output=True, text=True)
    if answer.returncode:
        last = (answer.stderr.strip().splitlines() or ["?"])[-1]
        raise NoTriton(
            f"{python.name} cannot import nvidia-pytriton and onnxruntime ({last}); see benchmarks.triton"
        )
    package, version = answer.stdout.split()
    return Path(package), version


def _lay_out(package: Path, version: str, bundle: Bundle, folder: Path, threads: int) -> Path:
    """Write the model, and the backend with the stub of that Python; the folder of backends."""
    spec = bundle.manifest.graphs["classify"]
    place = folder / "models" / "steps" / "1"
    place.mkdir(parents=True)
    (place / "graph.onnx").write_bytes(bundle.read_graph("classify"))
    graph = {"threads": threads, "exact": products_are_exact(), **_tensors(spec)}
    (place / "graph.json").write_text(json.dumps(graph), "utf-8")
    shutil.copy(HERE / "model.py", place / "model.py")
    config = CONFIG.format(max_batch=MAX_BATCH, max_sequences=MAX_SEQUENCES, labels=len(bundle.labels))
    (place.parent / "config.pbtxt").write_text(config, "utf-8")
    shutil.copytree(package / "tritonserver/backends", folder / "backends")
    for stub in (package / "tritonserver/python_backend_stubs" / version).iterdir():
        shutil.copy(stub, folder / "backends/python")
    return folder / "backends"


def _tensors(spec: GraphSpec) -> dict[str, object]:
    """What the model has to know of the graph."""
    states = [tensor for tensor in spec.inputs if tensor.role == "state"]
    after = {tensor.name: tensor.tensor for tensor in spec.outputs if tensor.role == "state"}
    return {
        "states": [[t.tensor, after[t.name], t.dtype, list(t.axes[1:]), t.initial] for t in states],
        "output": next(t.tensor for t in spec.outputs if t.name == "log_probs"),
    }


def _wait(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    until = time.monotonic() + START_S
    while time.monotonic() < until and process.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/models/steps/ready", timeout=2):
                return
        except OSError:
            time.sleep(0.2)
    process.kill()
    text = log.read_text(errors="replace")
    reasons = re.findall(r"(?:Internal: |error: ).*", text)
    raise NoTriton(f"its server does not start: {reasons[0].strip(' |') if reasons else text[-300:]}")


def _told(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/v2", timeout=10) as page:
        version = json.load(page)["version"]
    return (
        f"Triton {version}: sequence batcher (oldest, batches of up to {MAX_BATCH}), Python backend that runs the "
        "same graph once a batch; clients by tritonclient.grpc.aio in a process of their own"
    )
