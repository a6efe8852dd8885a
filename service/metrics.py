"""The counters: one object, made by the server and handed to each part."""

import sys
from collections.abc import Iterable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Enum,
    Gauge,
    GCCollector,
    Histogram,
    ProcessCollector,
)

ROWS = 1, 2, 4, 8, 16, 24, 32, 48, 64, 96, 128, 256
SECONDS = 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0


class Metrics:
    """Every metric of the service. The label `model` is the name and version, as in `tatoeba-es-en/1`.

    The values of labels are bounded: what is served here, the protos' methods, and words that stand in the code. None
    comes from a caller. What runs for every batch is observed once for the batch, not for each of its rows.
    """

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        ProcessCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self._add_work(self.registry)
        self._add_texts(self.registry)
        self._add_calls(self.registry)
        self._add_sessions(self.registry)
        self._add_store(self.registry)

    def _add_work(self, r: CollectorRegistry) -> None:
        at = "model", "graph"
        self.batch_size = Histogram("seqserve_batch_size", "Rows of a batch.", at, buckets=ROWS, registry=r)
        self.run_seconds = Histogram(
            "seqserve_run_seconds", "Time of a batch.", at, buckets=SECONDS, registry=r
        )
        self.steps = Counter("seqserve_steps", "Steps run.", at, registry=r)
        self.queue_depth = Gauge("seqserve_queue_depth", "Steps that wait.", ["model"], registry=r)
        self.queue_wait_seconds = Histogram(
            "seqserve_queue_wait_seconds",
            "From a job's arrival to its first batch; priority: high, normal or low.",
            ["model", "priority"],
            buckets=SECONDS,
            registry=r,
        )
        self.jobs_active = Gauge(
            "seqserve_jobs_active", "Jobs accepted and not ended.", ["model"], registry=r
        )
        self.jobs_max = Gauge(
            "seqserve_jobs_max",
            "Jobs that are accepted at once; past it requests are refused.",
            ["model"],
            registry=r,
        )
        self.jobs = Counter("seqserve_jobs", "Jobs ended, by how.", ["model", "outcome"], registry=r)

    def _add_texts(self, r: CollectorRegistry) -> None:
        self.slots_taken = Gauge(
            "seqserve_slots_taken",
            "Texts that are being written, each in a slot of a batch (greedy; a beam's rows come and go).",
            ["model"],
            registry=r,
        )
        self.slots_max = Gauge("seqserve_slots_max", "Slots of one batch.", ["model"], registry=r)
        self.first_token_seconds = Histogram(
            "seqserve_first_token_seconds",
            "From a job's arrival to the first token that it writes (greedy).",
            ["model"],
            buckets=SECONDS,
            registry=r,
        )
        self.token_seconds = Histogram(
            "seqserve_token_seconds",
            "Between two tokens of texts that are being written, observed once for all texts of a batch.",
            ["model"],
            buckets=SECONDS,
            registry=r,
        )

    def _add_calls(self, r: CollectorRegistry) -> None:
        self.requests = Counter("seqserve_requests", "Requests answered.", ["method", "code"], registry=r)
        self.calls_turned_away = Counter(
            "seqserve_calls_turned_away",
            "Calls that gRPC ended with CANCELLED before anybody looked at them: too many waited, or callers left. "
            "They are in no other metric; told within seconds.",
            registry=r,
        )
        self.auth_refused = Counter(
            "seqserve_auth_refused", "Calls refused for who made them, by why.", ["why"], registry=r
        )
        self.quota_refused = Counter(
            "seqserve_quota_refused",
            "Requests refused as their owner had used up a quota.",
            ["quota"],
            registry=r,
        )
        self.slow_callers = Counter(
            "seqserve_slow_callers",
            "Calls ended as their caller did not send what he began, or did not read what he asked for.",
            ["owes"],
            registry=r,
        )
        self.request_seconds = Histogram(
            "seqserve_request_seconds",
            "From a request's arrival to its end; a stream ends when its caller or the server ends it.",
            ["method"],
            buckets=SECONDS,
            registry=r,
        )
        self.calls_active = Gauge("seqserve_calls_active", "Requests that are under way.", registry=r)
        self.answers_unread = Gauge(
            "seqserve_answers_unread",
            "Answers that gRPC holds and that nobody has read yet; one whose caller never reads lies until he is gone.",
            registry=r,
        )
        self.part_up = Gauge(
            "seqserve_part_up",
            "1 where a part of the server works, 0 where it does not; the rest serves on.",
            ["part"],
            registry=r,
        )
        self.tasks = Gauge(
            "seqserve_tasks", "Tasks of the event loop: three for each call, and a few.", registry=r
        )
        self.memory_blocks = Gauge(
            "seqserve_memory_blocks",
            "Blocks of memory that Python holds, one or more for each object.",
            registry=r,
        )
        self.memory_blocks.set_function(sys.getallocatedblocks)
        self.loop_seconds = Histogram(
            "seqserve_loop_seconds",
            "One turn of the event loop, looked at once a second: how long a message waits for its turn.",
            buckets=SECONDS,
            registry=r,
        )

    def _add_sessions(self, r: CollectorRegistry) -> None:
        self.sessions = Gauge(
            "seqserve_sessions",
            "Sessions: held by a stream, idle in memory, cold (in the store only; not told by redis).",
            ["tier"],
            registry=r,
        )
        self.session_bytes = Gauge(
            "seqserve_session_bytes", "Memory of sessions, with all that they keep.", ["tier"], registry=r
        )
        self.sessions_evicted = Counter(
            "seqserve_sessions_evicted",
            "Sessions that left the memory without their owner's asking; memory: they made room and are in the store.",
            ["reason"],
            registry=r,
        )
        self.sessions_opened = Counter("seqserve_sessions_opened", "Sessions that began here.", registry=r)
        self.sessions_resumed = Counter(
            "seqserve_sessions_resumed",
            "Sessions gone on with by another stream, and where they were: memory, store, or a ticket.",
            ["source"],
            registry=r,
        )
        self.turns_repeated = Counter(
            "seqserve_turns_repeated",
            "Turns that came again and were not run twice: answered from the log, or refused.",
            ["outcome"],
            registry=r,
        )
        self.sessions_unsaved = Gauge(
            "seqserve_sessions_unsaved",
            "Sessions that could not be saved, and will be tried again.",
            registry=r,
        )
        self.save_lag_seconds = Gauge(
            "seqserve_save_lag_seconds",
            "For how long the session that has waited longest for the store has been waiting; 0 where none waits.",
            registry=r,
        )
        self.save_seconds = Histogram(
            "seqserve_save_seconds",
            "From the moment a snapshot shows to its being in the store.",
            buckets=SECONDS,
            registry=r,
        )
        self.snapshot_bytes = Histogram(
            "seqserve_snapshot_bytes",
            "Size of a snapshot.",
            buckets=[1024 * 4**n for n in range(8)],
            registry=r,
        )

    def _add_store(self, r: CollectorRegistry) -> None:
        self.store_operations = Counter(
            "seqserve_store_operations",
            "Operations on the store, by how they ended; not_tried: while the store is left alone.",
            ["store", "operation", "outcome"],
            registry=r,
        )
        self.store_seconds = Histogram(
            "seqserve_store_seconds",
            "Time of an operation on the store.",
            ["store", "operation"],
            buckets=SECONDS,
            registry=r,
        )
        self.store_breaker = Enum(
            "seqserve_store_breaker",
            "closed: the store is used; open: it failed and is left alone; half_open: one operation tries it.",
            ["store"],
            states=["closed", "open", "half_open"],
            registry=r,
        )

    def expect(self, metric: Counter, values: Iterable[tuple[str, ...]]) -> None:
        """Count from zero: Prometheus does not see a counter's first step, from nothing to one, as a step."""
        for labels in values:
            metric.labels(*labels)

    def mean_batch_size(self, model: str, graph: str) -> float:
        """Rows per batch since the start; 0 before the first."""
        labels = {"model": model, "graph": graph}
        count = self.registry.get_sample_value("seqserve_batch_size_count", labels)
        total = self.registry.get_sample_value("seqserve_batch_size_sum", labels)
        return (total or 0.0) / count if count else 0.0
