"""What ModelStatistics tells: requests of this protocol, counted here, and batches, which all protocols share."""

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from prometheus_client import Histogram

from seqserve.inference import grpc_service_pb2 as wire
from service.api.inference.offer import Offer
from service.metrics import Metrics


@dataclass(slots=True)
class _Times:
    count: int = 0
    ns: int = 0

    def add(self, ns: int) -> None:
        self.count += 1
        self.ns += ns


@dataclass(slots=True)
class Measured:
    """One request: whoever answers it says for which model, and how many rows it had."""

    offer: Offer | None = None
    """None while that is not known, or where there is no such model."""
    num_rows: int = 0


@dataclass(slots=True)
class _Counted:
    success: _Times = field(default_factory=_Times)
    fail: _Times = field(default_factory=_Times)
    num_rows: int = 0
    last_ms: int = 0


class Statistics:
    """Since the server was started."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._counted: dict[tuple[str, str], _Counted] = defaultdict(_Counted)
        """By name and version."""

    @contextmanager
    def measured(self) -> Iterator[Measured]:
        """Count the request that is answered inside, by how it ends and how long it took."""
        request, began, succeeded = Measured(), time.perf_counter_ns(), False
        try:
            yield request
            succeeded = True
        finally:
            if request.offer:
                counted = self._counted[_key(request.offer)]
                _count(counted, request.num_rows, time.perf_counter_ns() - began, succeeded=succeeded)

    def to_proto(self, offer: Offer) -> wire.ModelStatistics:
        counted = self._counted[_key(offer)]
        manifest = offer.served.manifest
        labels = {"model": f"{manifest.name}/{manifest.version}"}
        num_jobs, queue_s = _total(self._metrics.queue_wait_seconds, labels)
        labels |= {"graph": offer.graph} if offer.graph else {}
        num_batches, compute_s = _total(self._metrics.run_seconds, labels)
        return wire.ModelStatistics(
            name=offer.name,
            version=manifest.version,
            last_inference=counted.last_ms,
            inference_count=counted.num_rows,
            execution_count=num_batches,
            inference_stats=wire.InferStatistics(
                success=_duration(counted.success.count, counted.success.ns),
                fail=_duration(counted.fail.count, counted.fail.ns),
                queue=_duration(num_jobs, queue_s * 1e9),
                compute_input=_duration(
                    num_batches, 0
                ),  # in what comes next; tools want the counts to be the same
                compute_infer=_duration(num_batches, compute_s * 1e9),
                compute_output=_duration(num_batches, 0),
            ),
        )


def _key(offer: Offer) -> tuple[str, str]:
    return offer.name, offer.served.manifest.version


def _count(counted: _Counted, num_rows: int, ns: int, *, succeeded: bool) -> None:
    if not succeeded:
        counted.fail.add(ns)
        return
    counted.success.add(ns)
    counted.num_rows += num_rows
    counted.last_ms = time.time_ns() // 1_000_000


def _duration(count: int, ns: float) -> wire.StatisticDuration:
    return wire.StatisticDuration(count=count, ns=round(ns))


def _total(histogram: Histogram, labels: Mapping[str, str]) -> tuple[int, float]:
    """How often and how much in all, over what has these labels."""
    samples = [
        sample
        for metric in histogram.collect()
        for sample in metric.samples
        if labels.items() <= sample.labels.items()
    ]
    count = sum(s.value for s in samples if s.name.endswith("_count"))
    return int(count), sum(s.value for s in samples if s.name.endswith("_sum"))
