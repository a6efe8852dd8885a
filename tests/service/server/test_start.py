import asyncio
import socket
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from seqserve.v1 import model_pb2, model_pb2_grpc
from service.config import Settings
from service.errors import ConfigRefused
from service.server import SERVICES, Server
from tests.fakes.toy_bundles import write_toy_translator
from tests.fakes.toy_server import serve_toys, write_toys
from tests.fakes.toy_translator import ToyEngines
from tests.fakes.wire import translate


def server_of(models: Path, **server: object) -> Server:
    flags = {"server": {"port": 0} | server, "models": {"repository": str(models)}}
    return Server(Settings.load(flags=flags, environment={}), ToyEngines())


async def test_a_port_in_use_is_refused_with_what_to_do(tmp_path: Path) -> None:
    write_toys(tmp_path)
    first = server_of(tmp_path)
    port = await first.start()
    second = server_of(tmp_path, port=port)
    with pytest.raises(
        ConfigRefused,
        match=rf"cannot listen on 127.0.0.1:{port}: Address already in use.*another port, such as --port {port + 1} ",
    ):
        await second.start()
    await first.drain()
    again = server_of(tmp_path, port=port)
    assert await again.start() == port
    await again.drain()


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid"])
async def test_an_address_of_another_machine_is_refused(tmp_path: Path, host: str) -> None:
    write_toys(tmp_path)
    with pytest.raises(ConfigRefused, match=f"cannot listen on {host}.*choose another host"):
        await server_of(tmp_path, host=host).start()


async def test_a_folder_without_models_is_refused_with_where_it_looked(tmp_path: Path) -> None:
    for folder in (tmp_path / "empty", tmp_path / "missing"):
        (tmp_path / "empty").mkdir(exist_ok=True)
        with pytest.raises(ConfigRefused, match=rf"no model to serve in {folder}.*--models"):
            await server_of(folder).start()


async def test_a_server_all_of_whose_models_are_refused_says_why(tmp_path: Path) -> None:
    folder = write_toy_translator(tmp_path)
    (folder / "encode.onnx").write_text("changed")
    with pytest.raises(ConfigRefused, match=r"toy-es-en/1: .*encode\.onnx.*SHA-256"):
        await server_of(tmp_path).start()


async def test_a_start_that_failed_holds_no_port(tmp_path: Path) -> None:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    with pytest.raises(ConfigRefused, match="no model"):
        await server_of(tmp_path, port=port).start()
    socket.create_server(("127.0.0.1", port)).close()


async def test_the_other_models_serve_where_one_is_refused(tmp_path: Path) -> None:
    def write(models: Path) -> None:
        write_toys(models)
        (models / "two-way" / "1" / "manifest.json").write_text("{}")

    async with serve_toys(tmp_path, write) as toys:
        assert await translate(toys, "uno") == ["one"]
        assert "two-way/1" in toys.server.registry.refused


async def test_health_is_told_for_the_server_and_each_service(tmp_path: Path) -> None:
    async with serve_toys(tmp_path) as toys:
        health = health_pb2_grpc.HealthStub(toys.channel)
        for service in ("", *SERVICES):
            answer = await health.Check(health_pb2.HealthCheckRequest(service=service))
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
        with pytest.raises(grpc.aio.AioRpcError) as unknown:
            await health.Check(health_pb2.HealthCheckRequest(service="no.such.Service"))
        assert unknown.value.code() is grpc.StatusCode.NOT_FOUND


async def test_watchers_of_the_health_hear_of_the_drain(tmp_path: Path) -> None:
    async with serve_toys(tmp_path) as toys:
        watch = health_pb2_grpc.HealthStub(toys.channel).Watch(health_pb2.HealthCheckRequest())
        statuses = [(await watch.read()).status]
        draining = asyncio.create_task(toys.server.drain())
        statuses.append((await watch.read()).status)
        await draining
    response = health_pb2.HealthCheckResponse
    assert statuses == [response.SERVING, response.NOT_SERVING]


async def test_reflection_lists_the_services(tmp_path: Path) -> None:
    async with serve_toys(tmp_path) as toys:
        stub = reflection_pb2_grpc.ServerReflectionStub(toys.channel)
        request = reflection_pb2.ServerReflectionRequest(list_services="")
        [answer] = [answer async for answer in stub.ServerReflectionInfo(iter([request]))]
        listed = {service.name for service in answer.list_services_response.service}
        assert {*SERVICES, "grpc.health.v1.Health"} <= listed


async def test_metrics_are_shown_where_a_port_is_set(tmp_path: Path) -> None:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    async with serve_toys(tmp_path, server={"metrics_port": port}) as toys:
        await translate(toys, "uno")
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /metrics HTTP/1.0\r\n\r\n")
        page = (await reader.read()).decode()
        writer.close()
    assert 'seqserve_requests_total{code="OK",method="/seqserve.v1.SequenceService/Translate"} 1.0' in page


async def test_things_settle_when_models_have_come_or_gone_and_at_no_other_time(tmp_path: Path) -> None:
    write_toys(tmp_path)
    settled: asyncio.Queue[set[str]] = asyncio.Queue()
    flags = {"server": {"port": 0, "admin": True}, "models": {"repository": str(tmp_path)}}
    settings = Settings.load(flags=flags, environment={})
    server = Server(settings, ToyEngines(), settle=lambda: settled.put_nowait(server.registry.labels()))
    await server.start()
    models, one = server.registry.labels(), ("toy-es-en", "1")
    try:
        assert await settled.get() == models
        await asyncio.sleep(1.5)  # in which all parts are looked at again
        assert settled.empty()
        async with grpc.aio.insecure_channel(server.address) as channel:
            admin: Any = model_pb2_grpc.ModelServiceStub(channel)
            await admin.UnloadModel(model_pb2.UnloadModelRequest(name=one[0], version=one[1]))
            assert await settled.get() == models - {"toy-es-en/1"}
            await admin.LoadModel(model_pb2.LoadModelRequest(name=one[0], version=one[1]))
            assert await settled.get() == models
    finally:
        await server.drain()
