"""Traces: what a request went through, sent nowhere unless the environment says where."""

from collections.abc import Iterator
from pathlib import Path
from time import time_ns

import pytest
from in_process import Http, files, settings_of
from keyring import Keyring
from live_server import picture
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from features.keys import digest
from service.http import create_app
from service.metrics import STAGES
from service.tracing import TracedMetrics, Tracing, from_environment
from service.wiring import build

CALLER = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

SECRET_NAME = "patient-4711.png"


class Traces:
    """A traced application, and the spans that it has made."""

    def __init__(self, home: Path) -> None:
        self._kept = InMemorySpanExporter()
        self._tracing = Tracing(self._kept)
        settings, metrics = settings_of(home), TracedMetrics(self._tracing)
        app = create_app(settings, metrics, self._tracing)
        self.product = app.state.product = build(settings, metrics)
        self.http = Http(app, self.product, metrics)

    def spans(self) -> list[ReadableSpan]:
        """All spans so far."""
        self._tracing._provider.force_flush()
        return list(self._kept.get_finished_spans())

    def below(self, request: ReadableSpan) -> list[ReadableSpan]:
        """The stages of one request."""
        return [s for s in self.spans() if s.parent and s.parent.span_id == id_of(request)]

    def requests(self) -> list[ReadableSpan]:
        """The spans of requests, in order."""
        return [span for span in self.spans() if span.kind.name == "SERVER"]


def id_of(span: ReadableSpan) -> int:
    assert span.context is not None
    return span.context.span_id


@pytest.fixture
def traces(home: Path) -> Iterator[Traces]:
    traces = Traces(home)
    yield traces
    traces.product.close()


def ask(traces: Traces, seed: int) -> None:
    sent = {"files": [("images", (SECRET_NAME, picture("red", seed)))]}
    answer = traces.http.post("/v1/predict", headers={"traceparent": CALLER}, **sent)
    assert answer.status_code == 200


def test_a_request_continues_its_callers_trace_and_has_its_stages_below_it(traces: Traces) -> None:
    begun = time_ns()
    ask(traces, 700)
    (request,) = traces.requests()
    assert request.context is not None
    assert request.parent is not None
    assert f"{request.context.trace_id:032x}" == CALLER.split("-")[1]
    assert f"{request.parent.span_id:016x}" == CALLER.split("-")[2]
    assert request.name == "POST /v1/predict"
    stages = traces.below(request)
    assert {s.name for s in stages} == {"wait", "decode", "forward", "heads"} <= set(STAGES)
    assert all(s.context and s.context.trace_id == request.context.trace_id for s in stages)
    for span in [request, *stages]:
        assert begun <= (span.start_time or 0) <= (span.end_time or 0) <= time_ns()
    told = sum((s.end_time or 0) - (s.start_time or 0) for s in stages)
    assert told <= (request.end_time or 0) - (request.start_time or 0)


def test_requests_that_share_a_pass_of_the_backbone_each_show_it(traces: Traces) -> None:
    sent = [("POST", "/v1/predict", {"files": files(picture("red", 720 + n))}) for n in range(6)]
    before = traces.http.count("penultimate_forward_batches_total")
    assert {a.status_code for a in traces.http.together(sent)} == {200}
    assert traces.http.count("penultimate_forward_batches_total") - before <= 6
    assert len(traces.requests()) == 6
    for request in traces.requests():
        assert [s.name for s in traces.below(request)].count("forward") == 1


def test_what_is_written_after_the_answers_is_a_trace_of_its_own(traces: Traces) -> None:
    ask(traces, 701)
    traces.product.embedder.flush()
    (write,) = [span for span in traces.spans() if span.name == "write"]
    assert write.parent is None


def test_a_span_names_no_one_and_nothing(traces: Traces) -> None:
    ask(traces, 702)
    traces.http.get("/v1/heads/colour")
    traces.http.get("/nowhere/P4711?patient=P4711")
    key = Keyring(traces.http).key("predict")
    refused = traces.http.get("/v1/heads/colour")
    said = "".join(span.to_json() for span in traces.spans())
    for secret in (SECRET_NAME, "P4711", digest(picture("red", 702)), "colour", key, "127.0.0.1"):
        assert secret not in said
    names = [span.name for span in traces.requests()]
    assert names[1:] == ["GET /v1/heads/{head}", "GET unmatched", "GET unmatched"]
    last = dict(traces.requests()[-1].attributes or {})
    assert last["http.response.status_code"] == refused.status_code == 401
    assert last["penultimate.request_id"] == refused.headers["x-request-id"]


def test_probes_are_not_traced(traces: Traces) -> None:
    for path in ("/livez", "/readyz", "/metrics"):
        assert traces.http.get(path).status_code == 200
    assert traces.spans() == []


@pytest.mark.parametrize(
    ("environment", "is_on"),
    [
        ({}, False),
        ({"OTEL_SERVICE_NAME": "x", "OTEL_EXPORTER_OTLP_HEADERS": "a=b"}, False),
        ({"OTEL_TRACES_EXPORTER": "none"}, False),
        ({"OTEL_TRACES_EXPORTER": "nobody-has-this"}, False),
        ({"OTEL_TRACES_EXPORTER": "console"}, True),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://x"}, False),
    ],
)
def test_nothing_is_traced_unless_the_environment_says_where_to(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], *, is_on: bool
) -> None:
    for name in ("OTEL_TRACES_EXPORTER", "OTEL_EXPORTER_OTLP_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    tracing = from_environment()
    assert (tracing is not None) == is_on
    if tracing is not None:
        tracing.close()
