"""Counters that begin at zero. Prometheus sees no step from nothing to one: the first fault would not show."""

from itertools import product

from seqserve.inference import grpc_service_pb2
from seqserve.v1 import model_pb2, sequence_pb2, session_pb2
from service.metrics import Metrics
from service.sessions import Source, Why
from service.sessions.table import MEMORY

METHODS = tuple(
    f"/{service.full_name}/{method.name}"
    for file in (sequence_pb2, session_pb2, model_pb2, grpc_service_pb2)
    for service in file.DESCRIPTOR.services_by_name.values()
    for method in service.methods
)
CODES = "OK", "INTERNAL", "RESOURCE_EXHAUSTED"
"""Statuses whose first occurrence has to show."""
EVICTIONS = (*(why.value for why in Why), MEMORY)
SOURCES = tuple(source.value for source in Source)
REFUSALS = "missing", "malformed", "key", "unknown_key", "expired_key", "certificate", "owner", "role"


def count_from_zero(metrics: Metrics) -> None:
    """What a server may come to count."""
    metrics.expect(metrics.requests, product(METHODS, CODES))
    metrics.expect(metrics.sessions_evicted, product(EVICTIONS))
    metrics.expect(metrics.sessions_resumed, product(SOURCES))
    metrics.expect(metrics.turns_repeated, product(("answered", "refused")))
    metrics.expect(metrics.auth_refused, product(REFUSALS))
    metrics.expect(metrics.quota_refused, product(("calls", "requests", "tokens")))
    metrics.expect(metrics.slow_callers, product(("sends", "reads")))
