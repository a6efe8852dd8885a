"""Whether the ports can be had, and who has them if not."""

from collections.abc import Iterator
from contextlib import suppress

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from seqserve.v1 import sequence_pb2
from service.cli.checks.finding import Finding, problem, refused
from service.config import Settings
from service.errors import ConfigRefused
from service.ports import check_free

ASK_S = 1.0
SERVICE = sequence_pb2.DESCRIPTOR.services_by_name["SequenceService"].full_name


def ports(settings: Settings) -> Iterator[Finding]:
    server = settings.server
    yield _port(server.host, server.port, "port")
    if server.metrics_port:
        for port in range(server.metrics_port, server.metrics_port + server.workers):
            yield _port(server.host, port, "metrics_port")


def _port(host: str, port: int, setting: str) -> Finding:
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    facts = {"host": host, "port": port}
    try:
        check_free(host, port, setting)
    except ConfigRefused as error:
        if setting == "port" and port and _seqserve_answers(where):
            other = "use that one, or stop it, or choose another with --port"
            return problem(setting, f"a seqserve serves on {where} already", other, **facts)
        return refused(setting, error, f"choose another server.{setting}")
    return Finding(setting, f"{where} is free" if port else f"any free one of {host}", facts=facts)


def _seqserve_answers(where: str) -> bool:
    with suppress(grpc.RpcError), grpc.insecure_channel(where) as channel:
        asked = health_pb2.HealthCheckRequest(service=SERVICE)
        health_pb2_grpc.HealthStub(channel).Check(asked, timeout=ASK_S)
        return True
    return False
