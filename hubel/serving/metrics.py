"""What the service counts, in Prometheus's text form at /metrics; with several processes their numbers add up."""

from __future__ import annotations

import os
from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, multiprocess
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from hubel.errors import HubelError

FOLDER = (
    "PROMETHEUS_MULTIPROC_DIR"  # where several processes keep their numbers; set before this file is imported
)
TEXT = CONTENT_TYPE_LATEST

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    """One app's numbers. Routes are named as the document has them, so that no caller can invent a label."""

    def __init__(self) -> None:
        self.registry = own = CollectorRegistry()
        self.requests = Counter("hubel_requests", "Answered requests.", ["route", "status"], registry=own)
        self.latency = Histogram(
            "hubel_request_seconds",
            "From the first byte to the answer.",
            ["route"],
            buckets=SECONDS,
            registry=own,
        )
        self.rejected = Counter(
            "hubel_rejected", "Requests turned away, by reason.", ["reason"], registry=own
        )
        self.batches = Histogram(
            "hubel_batch_size",
            "Pictures that went through a network together.",
            ["model"],
            buckets=SIZES,
            registry=own,
        )
        self.queue = Gauge(
            "hubel_queue_depth", "Pictures that wait.", ["model"], registry=own, multiprocess_mode="livesum"
        )
        self.dropped = Counter(
            "hubel_dropped", "Pictures whose client had gone before their turn.", ["model"], registry=own
        )

    def answered(self, route: str) -> Callable[[int, float], None]:
        """A function that counts an answer: (status, seconds)."""
        latency, counters = self.latency.labels(route), dict[int, Counter]()

        def count(status: int, seconds: float) -> None:
            if status not in counters:
                counters[status] = self.requests.labels(route, str(status))
            counters[status].inc()
            latency.observe(seconds)

        return count

    def refused(self, e: HubelError) -> None:
        """Count what turned a request away: a Refused by its own word, any other error as the picture's fault."""
        self.rejected.labels(getattr(e, "reason", "picture" if e.http_status < 500 else "run")).inc()

    def text(self) -> bytes:
        """All numbers, of all processes."""
        if not os.environ.get(FOLDER):
            return generate_latest(self.registry)
        together = CollectorRegistry()
        multiprocess.MultiProcessCollector(together)
        return generate_latest(together)


def process_ends() -> None:
    """Takes this process's gauges out of the sum."""
    if os.environ.get(FOLDER):
        multiprocess.mark_process_dead(os.getpid())
