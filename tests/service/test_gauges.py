"""What Prometheus is told of the moment; the dashboard asks for nothing that is not there."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from in_process import Http, opened, settings_of
from prometheus_client.parser import text_string_to_metric_families

from service.errors import CatalogUnavailable
from service.logs import configure_logs

DASHBOARD = Path(__file__).parents[2] / "deploy" / "grafana.json"


def gauges(http: Http) -> dict[str, float]:
    text = http.get("/metrics").text
    return {
        "".join([sample.name, *sample.labels.values()]): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_jobs_heads_records_and_room_are_counted(shared_http: Http) -> None:
    found = gauges(shared_http)
    product = shared_http.product
    assert found["penultimate_heads"] == len(product.catalog.heads.entries("default")) > 0
    assert found["penultimate_records"] == len(product.workspaces["default"].store) > 0
    assert found["penultimate_jobssucceeded"] > 0
    assert found["penultimate_jobsrunning"] == 0
    assert found["penultimate_home_free_bytes"] > 0
    assert found["penultimate_requests_inside"] == 0


def test_what_cannot_be_read_is_left_out_and_the_rest_is_told(
    http: Http, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> dict[str, int]:
        raise CatalogUnavailable("away", hint="wait")

    monkeypatch.setattr(http.product.catalog.jobs, "counts", refuse)
    found = gauges(http)
    assert "penultimate_jobssucceeded" not in found
    assert found["penultimate_home_free_bytes"] > 0


def test_no_metric_has_a_name_of_a_dataset_head_or_workspace(shared_http: Http) -> None:
    text = shared_http.get("/metrics").text
    shared_http.get("/v1/heads/colour")
    assert "colour" not in text
    assert '"default"' not in text


def test_every_series_of_the_dashboard_is_there(shared_http: Http) -> None:
    shared_http.get("/v1/heads")
    text = shared_http.get("/metrics").text
    there = set(re.findall(r"^(penultimate_\w+)", text, re.MULTILINE))
    board = json.loads(DASHBOARD.read_text())
    asked = {
        name
        for panel in board["panels"]
        for target in panel["targets"]
        for name in re.findall(r"penultimate_\w+", target["expr"])
    }
    assert len(asked) >= 10
    assert asked <= there


@pytest.fixture
def log_as_before() -> Iterator[None]:
    """A test that sends the log elsewhere leaves it as it was."""
    before = structlog.get_config()
    yield
    structlog.configure(**before)


@pytest.mark.usefixtures("log_as_before")
def test_requests_are_logged_by_route_and_id_where_that_is_asked_for(
    home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with opened(settings_of(home, log_requests=True, log_format="json")) as http:
        configure_logs(http.product.settings)
        answer = http.get("/v1/heads/colour")
        http.get("/livez")
    lines = [json.loads(x) for x in capfd.readouterr().err.splitlines() if x.startswith("{")]
    said = [line for line in lines if line["event"] == "answered"]
    assert [(x["route"], x["status"]) for x in said] == [("/v1/heads/{head}", 200)]
    assert said[0]["request"] == answer.headers["x-request-id"]
    assert "colour" not in json.dumps(said)
