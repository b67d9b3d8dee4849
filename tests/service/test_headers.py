"""What every answer tells a browser: not to be framed, guessed at, kept, or asked from afar."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from httpx import ASGITransport, AsyncClient, Response
from in_process import Http, opened, settings_of
from keyring import Keyring

PAGE = "https://viewer.example"


@pytest.fixture
def shared(tmp_path: Path) -> Iterator[Keyring]:
    """A service that one web page from elsewhere may ask."""
    settings = settings_of(tmp_path / "home", cors_origins=f" {PAGE} ,http://other.example:8080")
    with opened(settings) as http:
        yield Keyring(http)


def preflight(http: Http, origin: str) -> Response:
    asked = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization",
    }
    return http.request("OPTIONS", "/v1/predict", headers=asked)


@pytest.mark.parametrize("url", ["/v1/heads", "/v1/heads/nothing", "/nowhere", "/livez", "/docs"])
def test_every_answer_carries_the_headers(shared_http: Http, url: str) -> None:
    headers = shared_http.get(url).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-store"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert "access-control-allow-origin" not in headers
    assert "strict-transport-security" not in headers


def test_only_the_documentation_may_run_scripts_and_only_its_own(shared_http: Http) -> None:
    assert "script-src" not in shared_http.get("/v1/heads").headers["content-security-policy"]
    policy = shared_http.get("/docs").headers["content-security-policy"]
    assert "script-src 'self' 'unsafe-inline';" in policy
    assert "http" not in policy


def test_a_report_keeps_its_own_stricter_policy(shared_http: Http) -> None:
    answer = shared_http.get("/v1/heads/colour/versions/1/report")
    assert answer.status_code == 200
    assert "script-src" not in answer.headers["content-security-policy"]


def test_over_https_browsers_are_told_to_stay_there(shared_http: Http) -> None:
    async def ask() -> Response:
        transport = ASGITransport(shared_http.app)
        async with AsyncClient(transport=transport, base_url="https://127.0.0.1") as client:
            return await client.get("/v1/heads")

    assert "max-age=" in asyncio.run(ask()).headers["strict-transport-security"]


def test_no_page_from_elsewhere_may_ask_unless_it_was_named(
    shared_http: Http, shared: Keyring
) -> None:
    assert "access-control-allow-origin" not in preflight(shared_http, PAGE).headers
    stranger = preflight(shared.http, "https://evil.example")
    assert "access-control-allow-origin" not in stranger.headers


def test_a_page_that_was_named_may_ask_and_needs_a_key_all_the_same(shared: Keyring) -> None:
    key = shared.key("predict")
    before = preflight(shared.http, PAGE)
    assert (before.status_code, before.headers["access-control-allow-origin"]) == (200, PAGE)
    assert "access-control-allow-credentials" not in before.headers
    without = shared.ask(None, "GET", "/v1/heads", headers={"Origin": PAGE})
    assert (without.status_code, without.headers["access-control-allow-origin"]) == (401, PAGE)
    answer = shared.ask(key, "GET", "/v1/heads", headers={"Origin": PAGE})
    assert answer.status_code == 200
    assert "X-Request-ID" in answer.headers["access-control-expose-headers"]


def test_a_page_that_was_named_can_read_why_it_was_refused_before_anything_was_read(
    shared: Keyring,
) -> None:
    key = shared.key("predict")
    shared.http.app.state.gates.answers._inside = 10**6
    busy = shared.ask(key, "POST", "/v1/predict", headers={"Origin": PAGE})
    assert (busy.status_code, busy.headers["access-control-allow-origin"]) == (503, PAGE)
    assert "Retry-After" in busy.headers["access-control-expose-headers"]
    length = {"Origin": PAGE, "Content-Length": str(10**12)}
    large = shared.ask(key, "PUT", "/v1/datasets/d/labels", headers=length)
    assert (large.status_code, large.headers["access-control-allow-origin"]) == (413, PAGE)


@pytest.mark.parametrize("text", ["*", "https://", "viewer.example", "https://a.example/path"])
def test_what_is_no_origin_is_refused_at_the_start(tmp_path: Path, text: str) -> None:
    with pytest.raises(ValueError, match="is no origin"):
        settings_of(tmp_path, cors_origins=text)
