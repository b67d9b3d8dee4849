"""Counters and times for Prometheus, summed over all workers. Knows not what is counted."""

from collections.abc import Sequence
from contextlib import suppress
from contextvars import Context
from typing import Any

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    multiprocess,
    values,
)
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.registry import Collector

from service.product import Metrics

COUNTERS = {
    "forward_images": "Images that went through the backbone.",
    "forward_batches": "Batches in which their vectors came from the backbone.",
    "cache_hits": "Images whose vectors were known already.",
    "images_rejected": "Files that were no usable images.",
    "predictions": "Answers given: one for each image and head.",
}

GAUGES = {
    "requests_inside": "Predictions, embeddings and searches that are worked on or wait.",
    "intake_inside": "Requests with images or labels that are worked on or wait.",
}

STAGES = ("wait", "decode", "forward", "heads", "explain", "write")

STAGE_BUCKETS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)

ROOM = 2**18
"""Bytes that each file of numbers has from the start: most servers never need more."""


class Allotted(MmapedDict):
    """The file that a worker's numbers lie in, without holes.

    The library leaves holes, in the home folder. Where the disk is full, the system kills a process
    that writes into one, and so each one that takes its place.
    """

    def __init__(self, filename: str, read_mode: bool = False) -> None:  # noqa: FBT001, FBT002  the library's own
        if not read_mode:
            _allot(filename, ROOM)
        super().__init__(filename, read_mode)  # type: ignore[no-untyped-call]

    def _init_value(self, key: str) -> None:
        # More than any number takes with its name. Where it does not fit, the library doubles.
        if self._used + len(key.encode()) + 64 > self._capacity:
            _allot(self._fname, 2 * self._capacity)
        super()._init_value(key)  # type: ignore[no-untyped-call]


def _allot(filename: str, size: int) -> None:
    with open(filename, "ab") as file:  # noqa: PTH123  the library gives a text
        file.write(bytes(max(0, size - file.tell())))


class PrometheusMetrics(Metrics):
    """The service's metrics, in a registry of their own."""

    def __init__(self) -> None:
        library: Any = values
        library.MmapedDict = Allotted
        self._registry = CollectorRegistry()
        self._counters = {
            name: Counter(f"penultimate_{name}", text, registry=self._registry)
            for name, text in COUNTERS.items()
        }
        self._stages = Histogram(
            "penultimate_stage_seconds",
            "Seconds spent in each stage of the road from bytes to answers.",
            ["stage"],
            buckets=STAGE_BUCKETS_S,
            registry=self._registry,
        )
        self._requests = Histogram(
            "penultimate_request_seconds",
            "Seconds from a request's first byte to its answer.",
            ["method", "route", "status"],
            registry=self._registry,
        )
        self._gauges = {
            name: Gauge(
                f"penultimate_{name}", text, registry=self._registry, multiprocess_mode="livesum"
            )
            for name, text in GAUGES.items()
        }
        self._of_stages = {stage: self._stages.labels(stage) for stage in STAGES}
        self._of_requests: dict[tuple[str, str, int], Histogram] = {}

    def count(self, name: str, value: int = 1) -> None:
        """Adds to the counter `penultimate_<name>_total`."""
        if value:
            self._counters[name].inc(value)

    def time(self, stage: str, seconds: float, calls: Sequence[Context] = ()) -> None:  # noqa: ARG002  here all are one
        """Adds one duration of a stage."""
        self._of_stages[stage].observe(seconds)

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Adds one request; `route` is the template, never the raw path."""
        which = (method, route, status)
        found = self._of_requests.get(which)
        if found is None:
            with suppress(OSError):  # a disk that is full: the next of its kind is counted again
                found = self._of_requests[which] = self._requests.labels(method, route, str(status))
        if found is not None:
            found.observe(seconds)

    def level(self, name: str, value: int) -> None:
        """Sets the gauge `penultimate_<name>`, of this process."""
        self._gauges[name].set(value)

    def exposition(self, *others: Collector) -> tuple[bytes, str]:
        """(text, content type): this process's numbers, or the sum over all workers.

        Args:
            others: what is read only now, and is the same in every worker.
        """
        registry = self._registry
        if values.ValueClass is not values.MutexValue:
            registry = CollectorRegistry()
            multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # publishes types, but not here
        now = CollectorRegistry()
        for other in others:
            now.register(other)
        return generate_latest(registry) + generate_latest(now), CONTENT_TYPE_LATEST
