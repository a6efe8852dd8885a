"""What a server tells of its parts, asked over the wire and read from its metrics."""

import asyncio

from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.fakes.toy_server import Toys

SERVING = health_pb2.HealthCheckResponse.SERVING
PATIENCE_S = 60.0


async def parts_of(toys: Toys) -> dict[str, bool]:
    """Name → whether it works, of all that health tells."""
    stub = health_pb2_grpc.HealthStub(toys.channel)
    answer = await stub.List(health_pb2.HealthListRequest())
    return {name: one.status == SERVING for name, one in answer.statuses.items()}


async def until_part(toys: Toys, part: str, *, works: bool) -> None:
    """Wait until health says so of a part, in `Check` as well."""
    stub = health_pb2_grpc.HealthStub(toys.channel)
    async with asyncio.timeout(PATIENCE_S):
        while (await parts_of(toys)).get(part) is not works:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.05)
    answer = await stub.Check(health_pb2.HealthCheckRequest(service=part))
    assert (answer.status == SERVING) is works


def part_up(toys: Toys, part: str) -> float | None:
    return toys.server.metrics.registry.get_sample_value("seqserve_part_up", {"part": part})
