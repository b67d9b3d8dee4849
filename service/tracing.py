"""Traces by OpenTelemetry, where the operator's environment asks for them. Knows no routes.

There are none unless `OTEL_TRACES_EXPORTER` names an exporter, or one of the variables for an OTLP
endpoint is set. Whatever else the environment says (`OTEL_*`: sampler, service name, headers) is
read by OpenTelemetry itself. No name, digest, label or address of a client is in a span.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import Context, ContextVar
from importlib.metadata import entry_points
from time import time_ns
from typing import TYPE_CHECKING

import structlog

from service.metrics import PrometheusMetrics
from service.version import VERSION

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Span

log = structlog.get_logger("tracing")

ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")

SERVER_FAILED = 500

_asking: "ContextVar[Span | None]" = ContextVar("asking", default=None)
"""The span of the request that is worked on."""


class Tracing:
    """Makes spans: one for each request, and below it one for each stage that it went through.

    Args:
        exporters: where they go.
    """

    def __init__(self, *exporters: "SpanExporter") -> None:
        from opentelemetry.sdk.resources import OTELResourceDetector, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        said = OTELResourceDetector().detect().attributes
        own = {"service.name": "penultimate", "service.version": VERSION}
        self._provider = TracerProvider(resource=Resource.create({**own, **said}))
        for exporter in exporters:
            self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("penultimate", VERSION)

    @contextmanager
    def request(self, headers: Mapping[str, str]) -> "Iterator[Span]":
        """The span of a request, continued from its caller's where `traceparent` names one."""
        from opentelemetry.propagate import extract
        from opentelemetry.trace import SpanKind

        span = self._tracer.start_span("request", extract(headers), SpanKind.SERVER)
        token = _asking.set(span)
        try:
            yield span
        finally:
            _asking.reset(token)
            span.end()

    def answered(self, span: "Span", method: str, route: str, status: int, request_id: str) -> None:
        """Says of a request what became of it; `route` is the template, never the raw path."""
        from opentelemetry.trace import StatusCode

        span.update_name(f"{method} {route}")
        span.set_attribute("http.request.method", method)
        span.set_attribute("http.route", route)
        span.set_attribute("http.response.status_code", status)
        span.set_attribute("penultimate.request_id", request_id)
        if status >= SERVER_FAILED:
            span.set_status(StatusCode.ERROR)

    def stage(self, stage: str, seconds: float, calls: Sequence[Context]) -> None:
        """One stage that has just ended, below each request that it was gone through for.

        What is done for none, as a write after the answers, is a trace of its own.
        """
        from opentelemetry.context import Context as Empty
        from opentelemetry.trace import set_span_in_context

        end = time_ns()
        asking = [call.get(_asking) for call in calls] or [_asking.get()]
        for span in dict.fromkeys(asking):
            above = Empty() if span is None else set_span_in_context(span, Empty())
            self._tracer.start_span(stage, above, start_time=end - round(1e9 * seconds)).end(end)

    def close(self) -> None:
        """Sends what is left."""
        self._provider.shutdown()


class TracedMetrics(PrometheusMetrics):
    """The metrics of a service whose stages are spans too.

    Args:
        tracing: makes them.
    """

    def __init__(self, tracing: Tracing) -> None:
        super().__init__()
        self._tracing = tracing

    def time(self, stage: str, seconds: float, calls: Sequence[Context] = ()) -> None:
        """Adds one duration of a stage."""
        super().time(stage, seconds)
        self._tracing.stage(stage, seconds, calls)


def from_environment() -> Tracing | None:
    """What the environment asks for; None where it asks for nothing, or for what is not there."""
    usual = "otlp" if any(os.environ.get(name) for name in ENDPOINTS) else "none"
    said = os.environ.get("OTEL_TRACES_EXPORTER") or usual
    wanted = {name.strip() for name in said.split(",")} - {"", "none"}
    exporters = [exporter for name in sorted(wanted) if (exporter := _exporter(name)) is not None]
    return Tracing(*exporters) if exporters else None


def _exporter(name: str) -> "SpanExporter | None":
    packages = {"otlp": "otlp_proto_http"}
    found = entry_points(group="opentelemetry_traces_exporter", name=packages.get(name, name))
    try:
        made: SpanExporter = next(iter(found)).load()()
    except StopIteration:
        log.warning("no traces", exporter=name, hint="pip install 'penultimate[otel]' has otlp")
    except Exception:
        # A server that cannot be traced still answers.
        log.exception("no traces", exporter=name)
    else:
        return made
    return None
