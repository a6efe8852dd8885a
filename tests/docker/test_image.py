"""The image: what is in it, and what its container may not do."""

import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from service.client import Client, ClientError
from tests.docker.engine import BASE, ROOT, docker, kill, look
from tests.fakes.ports import free_port

pytestmark = pytest.mark.timeout(600)

LOCKED_DOWN = ("--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges")
MAX_BYTES = 400_000_000
LIST = (
    "import importlib.metadata as m; print(*(f'{d.name}=={d.version}' for d in m.distributions()), sep='\\n')"
)
COMPILED = """
import importlib.util, json, pathlib, struct, sys
from contextlib import suppress
import service.cli.app, service.server
from service.api.tracing import Tracing
from service.client import Client, ClientError
from service.config import TraceSettings
assert Tracing.of(TraceSettings(endpoint="http://127.0.0.1:1"))
with Client("127.0.0.1:1", timeout=1) as client, suppress(ClientError):
    client.models()
site = pathlib.Path(service.server.__file__).parents[1]
files = [pathlib.Path(getattr(m, "__file__", None) or "/") for m in list(sys.modules.values())]
loaded = [file for file in files if file.is_relative_to(site) and file.suffix == ".py"]
def is_compiled(file):
    compiled = pathlib.Path(importlib.util.cache_from_source(file))
    return compiled.exists() and struct.unpack("<I", compiled.read_bytes()[8:12])[0] == int(file.stat().st_mtime)
print(json.dumps([[str(f) for f in loaded if not is_compiled(f)], len(loaded), len(list(site.rglob("*.pyc")))]))
"""
"""What a server loads that is not compiled, or was since changed; how many modules it loads; how many are compiled."""
PATIENCE_S = 60.0


@contextmanager
def running(image: str, *options: str, command: tuple[str, ...] = ("serve",)) -> Iterator[tuple[str, str]]:
    """A container, and the address at which it answers."""
    port = free_port()
    arguments = ("--detach", *LOCKED_DOWN, f"--publish=127.0.0.1:{port}:50051", *options, image, *command)
    container = docker("run", *arguments, "--allow-plaintext", "--allow-anonymous")
    try:
        wait_answering(f"127.0.0.1:{port}", container)
        yield container, f"127.0.0.1:{port}"
    finally:
        docker("rm", "--force", "--volumes", container)


def wait_answering(address: str, container: str) -> None:
    end = time.monotonic() + PATIENCE_S
    with Client(address, timeout=5) as client:
        while True:
            try:
                assert client.models()
                return
            except ClientError:
                assert time.monotonic() < end, docker("logs", container)
                time.sleep(0.2)


def inside(container: str, *command: str) -> str:
    return docker("exec", container, *command, check=False)


def test_it_serves_the_shipped_models_as_nobody_in_particular_and_writes_nothing(image: str) -> None:
    with running(image) as (container, address):
        with Client(address) as client:
            said = client.translate("¿Dónde está la biblioteca?", source="es", target="en")
            assert "library" in said.text
            with client.session(model="snips-intents") as session:
                assert session.feed("play some jazz ").label == "PlayMusic"
        assert inside(container, "id", "-u") == "10001"
        assert "CapEff:\t0000000000000000" in inside(container, "cat", "/proc/1/status")
        assert inside(container, "sh", "-c", "touch /srv/seqserve/x || echo refused") == "refused"
        assert docker("diff", container) == ""


def test_it_does_not_start_open_to_everybody_unless_that_is_said(image: str) -> None:
    container = docker("run", "--detach", *LOCKED_DOWN, image)
    try:
        assert docker("wait", container) == "1"
        assert "--allow-plaintext" in docker("logs", container)
    finally:
        docker("rm", "--force", container)


def test_its_health_check_comes_to_say_that_it_is_healthy(image: str) -> None:
    with running(image, "--health-interval=1s") as (container, _):
        end = time.monotonic() + PATIENCE_S
        while (health := look(container)["State"]["Health"])["Status"] != "healthy":
            assert time.monotonic() < end, health
            time.sleep(0.2)


def test_a_session_outlives_its_container_on_a_volume_which_is_all_that_was_written(image: str) -> None:
    volume = docker("volume", "create")
    options, command = (f"--volume={volume}:/state",), ("serve", "--store", "sqlite:/state/sessions.sqlite")
    try:
        with running(image, *options, command=command) as (container, address), Client(address) as client:
            session = client.session(model="snips-intents", durability="every step")
            with session:
                session.feed("play some ")
                kill(container)
                session.detach()
            assert docker("diff", container) == ""
        with running(image, *options, command=command) as (_, address), Client(address) as client:
            with client.resume(session.session_id) as resumed:
                went_on = resumed.feed("jazz ")
            with client.session(model="snips-intents") as alone:
                alone.feed("play some ")
                assert alone.feed("jazz ") == went_on
    finally:
        docker("volume", "rm", volume)


def test_sigterm_ends_it_in_good_order(image: str) -> None:
    with running(image) as (container, _):
        docker("stop", "--time=30", container)
        assert look(container)["State"]["ExitCode"] == 0


def test_it_holds_what_is_locked_and_nothing_else(image: str) -> None:
    here = dict(
        line.split("==")
        for line in docker("run", "--rm", "--entrypoint=python", image, "-c", LIST).splitlines()
    )
    del here["seqserve"]
    lock = (ROOT / "requirements" / "serve.txt").read_text()
    pins = re.findall(r"^([a-z][a-z0-9._-]*)==([^\s;]+)", lock, re.MULTILINE)
    assert {(name.lower().replace("_", "-"), version) for name, version in here.items()} <= set(pins)
    for name in ("grpcio", "numpy", "onnxruntime", "redis", "opentelemetry-sdk"):
        assert name in here
    assert not here.keys() & {"pip", "torch", "onnx", "hatchling"}


def test_all_that_a_server_and_its_commands_load_is_compiled_and_little_else(image: str) -> None:
    """Nothing can be written there, so that what was not compiled would be so at each start."""
    told = docker("run", "--rm", "--entrypoint=python", image, "-c", COMPILED)
    missing, num_loaded, num_compiled = json.loads(told)
    assert missing == []
    assert num_loaded > 500
    assert num_compiled < 2 * num_loaded


def test_it_is_small(image: str) -> None:
    """With whatever base it was built on; a stand-in takes 60 MB more than the official one."""
    whole, base = look(image)["Size"], look(BASE)["Size"]
    assert whole < MAX_BYTES, f"{whole:,} bytes, of which {base:,} are those of {BASE}"


def test_its_labels_say_what_it_is(image: str) -> None:
    labels = look(image)["Config"]["Labels"]
    assert labels["org.opencontainers.image.title"] == "seqserve"
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"
    version = re.search(r'^version = "(.*)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert version
    assert labels["org.opencontainers.image.version"] == version[1]
