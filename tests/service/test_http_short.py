"""The short way past the framework answers what the framework would."""

from typing import Any

import pytest
from in_process import Http, files
from live_server import picture

from features.keys import digest
from service.http import images
from service.http.gate import ANSWERS, _answering
from service.http.guard import _principal
from service.http.short import ShortWay, shortened

RED = picture("red", 1)
ROUTES = shortened(images.router.routes)

ASKED: list[tuple[str, str, dict[str, Any]]] = [
    ("POST", "/v1/predict", {"files": files(RED, b"no image")}),
    ("POST", "/v1/predict", {"files": files(b"no image")}),
    ("POST", "/v1/predict", {"files": files(RED), "data": {"heads": "nope", "evidence": "2"}}),
    ("POST", "/v1/predict", {"files": files(RED), "data": {"evidence": "many"}}),
    ("POST", "/v1/predict", {"json": {"digests": [digest(RED)], "heads": ["colour"]}}),
    ("POST", "/v1/predict", {"json": {"digests": []}}),
    ("POST", "/v1/predict?heads=colour", {"files": files(RED)}),
    ("POST", "/v1/predict", {"content": b"nothing"}),
    ("POST", "/v1/embed", {"files": files(RED)}),
    ("POST", "/v1/search", {"files": files(RED, field="image"), "data": {"k": "3"}}),
    ("POST", "/v1/search", {"json": {"digest": "0" * 64}}),
    ("GET", "/v1/predict", {}),
    ("OPTIONS", "/v1/search", {}),
    ("POST", "/v1/predict/", {}),
]


def test_what_has_a_short_way_asks_its_dependencies_as_the_framework_would() -> None:
    assert set(ROUTES) == ANSWERS
    for route in ROUTES.values():
        assert route.methods == {"POST"}
        asked = [(d.call, d.own_oauth_scopes) for d in route.dependant.dependencies]
        assert asked == [(_principal, ["predict"]), (_answering, [])]


@pytest.mark.parametrize("asked", ASKED)
def test_both_ways_answer_alike(
    http: Http, monkeypatch: pytest.MonkeyPatch, asked: tuple[str, str, dict[str, Any]]
) -> None:
    for _ in range(2):
        http.request(*asked[:2], **asked[2])
        http.product.embedder.flush()
    short = http.request(*asked[:2], **asked[2])
    (ways,) = (m.kwargs["routes"] for m in http.app.user_middleware if m.cls is ShortWay)
    for path in ANSWERS:
        monkeypatch.delitem(ways, path)
    long = http.request(*asked[:2], **asked[2])
    assert (short.status_code, short.content) == (long.status_code, long.content)
    own = ("x-request-id",)
    assert {k: v for k, v in short.headers.items() if k not in own} == {
        k: v for k, v in long.headers.items() if k not in own
    }


def test_it_is_counted_by_the_routes_name(http: Http) -> None:
    assert http.predict(RED).status_code == 200
    assert 'route="/v1/predict",status="200"' in http.get("/metrics").text
