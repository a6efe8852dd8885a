"""Whether the ports can be had, and who has them if not."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from seqserve.v1 import sequence_pb2
from service.cli.checks.finding import Finding, refused
from service.config import Settings
from service.errors import ConfigRefused
from service.ports import check_free

ASK_S = 1.0
SERVICE = sequence_pb2.DESCRIPTOR.services_by_name["SequenceService"].full_name


def ports(settings: Settings) -> Iterator[Finding]:
    """Where a seqserve serves already, nothing is in the way: it is what these ports are for."""
    server = settings.server
    yield (port := _port(server.host, server.port, "port"))
    if server.metrics_port:
        for number in range(server.metrics_port, server.metrics_port + server.workers):
            yield _port(server.host, number, "metrics_port", serves=port.facts["seqserve"])


def _port(host: str, port: int, setting: str, *, serves: bool = False) -> Finding:
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    facts: dict[str, Any] = {"host": host, "port": port, "seqserve": False}
    try:
        check_free(host, port, setting)
    except ConfigRefused as error:
        if setting == "port" and port and _seqserve_answers(where):
            other = "use that one; another beside it wants another --port"
            told, facts = f"a seqserve serves on {where} already", facts | {"seqserve": True}
            return Finding(setting, told, advice=other, facts=facts)
        if serves:
            return Finding(setting, f"{where} is taken, as it is by that server's metrics", facts=facts)
        return refused(setting, error, f"choose another server.{setting}")
    return Finding(setting, f"{where} is free" if port else f"any free one of {host}", facts=facts)


def _seqserve_answers(where: str) -> bool:
    with suppress(grpc.RpcError), grpc.insecure_channel(where) as channel:
        asked = health_pb2.HealthCheckRequest(service=SERVICE)
        health_pb2_grpc.HealthStub(channel).Check(asked, timeout=ASK_S)
        return True
    return False
