"""Parts that fail beside the models: what each is told of, and that everybody is served on."""

import asyncio
import resource
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from seqserve.v1 import model_pb2
from service.errors import ConfigRefused
from tests.bundles import write_classifier
from tests.fakes.authority import Authority
from tests.fakes.health import part_up, parts_of, until_part
from tests.fakes.key_file import KeyFile, bearer
from tests.fakes.toy_bundles import write_toy_translator
from tests.fakes.toy_server import serve_toys, write_toys
from tests.fakes.wire import refused, translate
from training.export.check import ExportRefused

ADMIN = {"admin": True}


async def test_a_damaged_version_is_refused_beside_a_good_one_that_serves_on(tmp_path: Path) -> None:
    async with serve_toys(tmp_path, server=ADMIN) as toys:
        folder = write_toy_translator(tmp_path, version="2")
        (folder / "encode.onnx").write_text("damaged")
        request = model_pb2.LoadModelRequest(name="toy-es-en", version="2")
        answer = await refused(toys.models.LoadModel(request))
        assert (answer.code, answer.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "BUNDLE_REFUSED")
        assert await translate(toys, "uno") == ["one"]
        assert all((await parts_of(toys)).values())


async def test_a_version_that_was_refused_at_the_start_serves_when_it_is_whole(tmp_path: Path) -> None:
    def write(models: Path) -> None:
        write_toys(models)
        (models / "toy-es-en" / "1" / "manifest.json").rename(models / "kept.json")
        (models / "toy-es-en" / "1" / "manifest.json").write_text("{}")

    async with serve_toys(tmp_path, write, server=ADMIN) as toys:
        assert part_up(toys, "toy-es-en/1") == 0
        (tmp_path / "kept.json").rename(tmp_path / "toy-es-en" / "1" / "manifest.json")
        await toys.models.LoadModel(model_pb2.LoadModelRequest(name="toy-es-en"))
        await until_part(toys, "toy-es-en/1", works=True)
        assert await translate(toys, "uno") == ["one"]


async def test_a_metrics_port_that_is_taken_is_refused_at_the_start(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(
            ConfigRefused, match=f"{port}: Address already in use.*choose another metrics_port"
        ):
            async with serve_toys(tmp_path, server={"metrics_port": port}):
                pass


async def test_files_of_certificates_and_keys_that_are_damaged_are_told_of_until_they_are_good(
    tmp_path: Path,
) -> None:
    authority = Authority(tmp_path / "authority")
    cert, key = authority.issue("server")
    keys = KeyFile(tmp_path / "access.keys")
    alice = keys.add("alice")
    pieces: dict[str, Any] = {"tls": {"cert_file": str(cert), "key_file": str(key)}, "auth": keys.settings()}
    async with serve_toys(tmp_path / "models", **pieces) as toys:
        address = toys.server.address
        toys.channel = grpc.aio.secure_channel(address, grpc.ssl_channel_credentials(authority.pem))
        stub = health_pb2_grpc.HealthStub(toys.channel)

        async def failing() -> set[str]:
            answer = await stub.List(health_pb2.HealthListRequest(), metadata=bearer(alice))
            serving = health_pb2.HealthCheckResponse.SERVING
            return {name for name, one in answer.statuses.items() if one.status != serving}

        async def until(wanted: set[str]) -> None:
            for _ in range(400):
                if await failing() == wanted:
                    return
                await asyncio.sleep(0.05)  # files are looked at once a second
            pytest.fail(f"{await failing()} is not {wanted}")

        assert await failing() == set()
        cert.write_text("damaged")
        keys.path.write_text("[[key]]\nsha256 = 7\n")
        await until({"certificates", "access_keys"})
        assert part_up(toys, "certificates") == 0
        authority.issue("server")
        keys.write()
        await until(set())
        with pytest.raises(grpc.aio.AioRpcError) as stranger:
            await stub.List(health_pb2.HealthListRequest())
        assert stranger.value.code() is grpc.StatusCode.UNAUTHENTICATED, "the list names models"
        await toys.channel.close()


def test_an_export_to_a_full_disk_leaves_nothing_behind(tmp_path: Path) -> None:
    with _no_file_grows(), pytest.raises(ExportRefused, match="File too large; nothing was left there"):
        write_classifier(tmp_path)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@contextmanager
def _no_file_grows() -> Iterator[None]:
    """As if the disk were full: no file of this process may be longer than a kilobyte."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
