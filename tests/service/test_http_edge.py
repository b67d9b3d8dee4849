"""What every request passes: refusals as problems, limits, ids, headers, metrics, the document."""

import re
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from in_process import Http, chunks, files, opened, refused, settings_of
from live_server import picture
from routes import OPERATIONS
from starlette.datastructures import Headers

from service.catalog import Catalog
from service.http.edge import announced_bytes

RED = picture("red", 100)

CONTRACT = {
    "POST /v1/predict",
    "POST /v1/embed",
    "POST /v1/search",
    "GET /v1/datasets",
    "GET /v1/datasets/{dataset}",
    "DELETE /v1/datasets/{dataset}",
    "POST /v1/datasets/{dataset}/images",
    "PUT /v1/datasets/{dataset}/labels",
    "POST /v1/heads",
    "GET /v1/heads",
    "GET /v1/heads/{head}",
    "DELETE /v1/heads/{head}",
    "GET /v1/heads/{head}/versions/{version}",
    "DELETE /v1/heads/{head}/versions/{version}",
    "PUT /v1/heads/{head}/aliases/{alias}",
    "GET /v1/heads/{head}/history",
    "GET /v1/jobs",
    "GET /v1/jobs/{job}",
    "DELETE /v1/jobs/{job}",
    "DELETE /v1/images/{digest}",
    "GET /v1/spaces",
    "GET /livez",
    "GET /readyz",
    "GET /metrics",
}


def test_the_document_lists_every_route_of_the_contract(shared_http: Http) -> None:
    document = shared_http.get("/openapi.json").json()
    listed = {
        f"{method.upper()} {path}" for path, ways in document["paths"].items() for method in ways
    }
    assert listed >= CONTRACT
    assert all(" /v1/" in route for route in listed - CONTRACT)
    for path, ways in document["paths"].items():
        for method, said in ways.items():
            assert said.get("description") or said.get("summary"), f"{method} {path}"
    for path in ("/v1/predict", "/v1/embed", "/v1/search", "/v1/datasets/{dataset}/images"):
        body = document["paths"][path]["post"]["requestBody"]["content"]
        assert "multipart/form-data" in body, path


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_a_route_documents_a_body_where_it_reads_one(small: Http, name: str) -> None:
    method, path = name.split(" ")
    url = re.sub(r"{(\w+)}", "1", path)
    reads = []

    async def body() -> AsyncIterator[bytes]:
        reads.append(name)
        yield b"--x--\r\n"

    for kind in ("application/json", "multipart/form-data; boundary=x"):
        small.request(method, url, content=body(), headers={"Content-Type": kind})
    documented = OPERATIONS[name].get("requestBody", {}).get("content", {})
    assert bool(reads) == bool(documented)
    assert "$ref" not in str(documented) or "#/components/schemas/" in str(documented)
    assert "$defs" not in str(documented)


def test_the_documentation_page_loads_nothing_from_outside(shared_http: Http) -> None:
    assert shared_http.get("/").headers["location"] == "/docs"
    for path in ("/docs", "/redoc"):
        page = shared_http.get(path)
        if page.status_code == 404:
            continue
        assert page.status_code == 200
        linked = re.findall(r"(?:src|href)=[\"']([^\"']+)", page.text)
        assert linked
        for link in linked:
            assert link.startswith(("/", "data:", "#")), link
            if link.startswith("/"):
                assert shared_http.get(link).status_code == 200, link
        assert not re.findall(r"https?://(?!www\.w3\.org)[\w.-]+", page.text)


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nope", 404, "not_found"),
        ("GET", "/v1/nope", 404, "not_found"),
        ("GET", "/v1/predict", 405, "method_not_allowed"),
        ("PATCH", "/v1/heads", 405, "method_not_allowed"),
        ("POST", "/v1/spaces", 405, "method_not_allowed"),
        ("GET", "/v1/heads/", 404, "not_found"),
        ("GET", "/v1/%2e%2e/x", 404, "not_found"),
    ],
)
def test_a_route_that_is_not_there_is_a_problem_too(
    shared_http: Http, method: str, path: str, status: int, code: str
) -> None:
    answer = shared_http.request(method, path)
    if answer.status_code in (307, 308):
        return  # led to where it is
    refused(answer, status, code)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PATCH", "/v1/heads", "GET, HEAD, POST"),
        ("PUT", "/v1/heads/colour", "DELETE, GET, HEAD"),
        ("DELETE", "/v1/spaces", "GET, HEAD"),
        ("GET", "/v1/predict", "POST"),
    ],
)
def test_every_method_of_a_path_is_named_where_another_was_used(
    shared_http: Http, method: str, path: str, allowed: str
) -> None:
    answer = shared_http.request(method, path)
    refused(answer, 405, "method_not_allowed")
    assert answer.headers["allow"] == allowed


@pytest.mark.parametrize("path", ["/livez", "/v1/heads", "/v1/heads/colour/versions/1/report"])
def test_head_is_answered_as_get_is(shared_http: Http, path: str) -> None:
    head, get = shared_http.request("HEAD", path), shared_http.get(path)
    assert (head.status_code, get.status_code) == (200, 200)
    assert head.headers["content-type"] == get.headers["content-type"]
    assert shared_http.request("HEAD", "/v1/predict").status_code == 405
    assert shared_http.request("HEAD", "/v1/heads/none").status_code == 404


def test_the_document_lists_no_route_twice(shared_http: Http) -> None:
    ways = shared_http.get("/openapi.json").json()["paths"]
    assert not [path for path, methods in ways.items() if "head" in methods]
    for path, methods in ways.items():
        assert all(len(said["tags"]) == 1 for said in methods.values()), path


@pytest.mark.parametrize("coding", ["gzip", "br", "gzip, identity"])
def test_a_compressed_body_is_refused_unread(shared_http: Http, coding: str) -> None:
    headers = {**FORM_KIND, "content-encoding": coding}
    answer = shared_http.post("/v1/predict", content=b"x", headers=headers)
    assert coding in refused(answer, 415, "compressed_request")["detail"]
    plain = {"content-encoding": "Identity"}
    assert shared_http.post("/v1/embed", files=files(RED), headers=plain).status_code == 200


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Http]:
    home = tmp_path_factory.mktemp("small") / "home"
    with opened(settings_of(home, max_request_bytes=50_000)) as http:
        yield http


PATHS = ["/v1/predict", "/v1/embed", "/v1/search", "/v1/datasets/d/images", "/v1/heads"]


@pytest.mark.parametrize("path", PATHS)
def test_a_body_that_is_announced_too_large_is_refused_unread(small: Http, path: str) -> None:
    body = refused(small.post(path, content=b"x" * 50_001), 413, "request_too_large")
    assert "50000 bytes" in body["detail"]
    assert "MAX_REQUEST_BYTES" in body["hint"]


FORM = b'--b\r\nContent-Disposition: form-data; name="images"; filename="a"\r\n\r\n'
FORM_KIND = {"content-type": "multipart/form-data; boundary=b"}
JSON_KIND = {"content-type": "application/json"}


@pytest.mark.parametrize("path", PATHS[:4])
def test_a_form_that_turns_out_too_large_is_refused(small: Http, path: str) -> None:
    body = chunks(FORM, *[b"x" * 10_000] * 6)
    refused(small.post(path, content=body, headers=FORM_KIND), 413, "request_too_large")
    assert small.get("/livez").status_code == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/predict"),
        ("POST", "/v1/search"),
        ("POST", "/v1/heads"),
        ("PUT", "/v1/datasets/d/labels"),
        ("PUT", "/v1/heads/h/aliases/a"),
    ],
)
def test_json_that_turns_out_too_large_is_refused(small: Http, method: str, path: str) -> None:
    body = chunks(b'{"name": "', *[b"x" * 10_000] * 6)
    answer = small.request(method, path, content=body, headers=JSON_KIND)
    refused(answer, 413, "request_too_large")


def test_a_body_within_the_limit_is_read_in_pieces(small: Http) -> None:
    body = chunks(FORM, RED[:1_000], RED[1_000:], b"\r\n--b--\r\n")
    answer = small.post("/v1/embed", content=body, headers=FORM_KIND)
    assert answer.status_code == 200, answer.text
    assert answer.json()["embeddings"][0]["filename"] == "a"


@pytest.mark.parametrize(
    "body",
    [b"", b"rubbish", b"--b", b"--b\r\n\r\n", b"--b\r\nContent-Disposition: form-data\r\n\r\nx"],
)
def test_a_broken_form_is_a_problem(small: Http, body: bytes) -> None:
    refused(small.post("/v1/predict", content=body, headers=FORM_KIND), 422, "invalid_request")
    refused(
        small.post("/v1/predict", content=body, headers={"content-type": "multipart/form-data"}),
        422,
        "invalid_request",
    )


@pytest.mark.parametrize("path", ["/v1/heads", "/v1/search"])
@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b'{"name": ' + b"9" * 5_000 + b"}", "4300 digits|infinity"),
        (b"[" * 100_000, "depth"),
        (b"\xff{", "utf-8|UTF-8"),
    ],
    ids=["a number without end", "without bottom", "no text"],
)
def test_json_that_cannot_be_read_is_refused_with_the_reason(
    shared_http: Http, path: str, body: bytes, why: str
) -> None:
    sent = shared_http.post(path, content=body, headers={"Content-Type": "application/json"})
    said = refused(sent, 422, "invalid_request")
    assert re.search(why, said["detail"])
    assert said["hint"] == "Send JSON."


def test_an_answer_carries_the_id_of_its_request(shared_http: Http) -> None:
    mine = shared_http.get("/v1/heads", headers={"X-Request-ID": "my-id.7"})
    assert mine.headers["x-request-id"] == "my-id.7"
    ids = {shared_http.get("/v1/heads").headers["x-request-id"] for _ in range(2)}
    assert len(ids) == 2
    for strange in ("a b", "x" * 65, "<script>"):
        given = shared_http.get("/v1/heads", headers={"X-Request-ID": strange})
        assert given.headers["x-request-id"] != strange


def test_every_answer_has_the_safe_headers(shared_http: Http) -> None:
    for answer in (
        shared_http.get("/v1/heads"),
        shared_http.get("/nope"),
        shared_http.post("/v1/predict"),
    ):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["cache-control"] == "no-store"


def test_an_error_that_nobody_expected_tells_nothing_but_where_to_look(
    http: Http, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr(http.product.catalog.heads, "entries", fail)
    answer = http.get("/v1/heads")
    body = refused(answer, 500, "internal_error")
    assert "secret" not in answer.text
    assert body["request_id"] == answer.headers["x-request-id"]


def test_metrics_count_by_template_and_never_by_path(http: Http) -> None:
    http.predict(RED)
    http.predict(RED)
    http.get("/v1/heads/colour")
    http.get("/v1/heads/secret-name")
    http.get("/v1/nowhere/secret-place")
    http.request("BREW", "/v1/heads")
    text = http.get("/metrics").text
    assert re.search(r"^penultimate_forward_images_total [1-9]", text, re.MULTILINE)
    assert re.search(r"^penultimate_cache_hits_total [1-9]", text, re.MULTILINE)
    assert re.search(r"^penultimate_predictions_total [1-9]", text, re.MULTILINE)
    routes = set(re.findall(r'route="([^"]*)"', text))
    assert {"/v1/predict", "/v1/heads/{head}"} <= routes
    assert "secret" not in text
    assert set(re.findall(r'method="([^"]*)"', text)) <= {"GET", "POST", "PUT", "DELETE", "other"}


def test_the_probes_tell_alive_from_ready(http: Http) -> None:
    assert http.get("/livez").json() == {"status": "alive"}
    ready = http.get("/readyz")
    assert (ready.status_code, ready.json()["status"]) == (200, "ready")
    product = http.app.state.product
    http.app.state.product = None
    assert http.get("/livez").status_code == 200
    assert http.get("/readyz").status_code == 503
    http.app.state.product = product


def test_a_catalog_that_is_away_is_a_503_that_says_when_to_come_back(
    http: Http, tmp_path: Any
) -> None:
    catalog: Catalog = http.product.catalog
    with catalog.database.write() as connection:
        connection.exec_driver_sql("ALTER TABLE registry RENAME TO lost")
    answer = http.get("/readyz")
    refused(answer, 503, "catalog_unavailable")
    assert answer.headers["retry-after"] == "5"
    refused(http.predict(RED), 503, "catalog_unavailable")
    assert http.get("/livez").status_code == 200


def test_before_the_product_is_there_nothing_hangs(http: Http) -> None:
    http.app.state.product = None
    answer = http.get("/v1/heads")
    assert answer.status_code >= 500
    assert http.post("/v1/predict", files=files(RED)).status_code >= 500


@pytest.mark.parametrize(
    ("said", "size_bytes"),
    [
        ("12", 12),
        ("0" * 5000, 0),
        ("0" * 5000 + "7", 7),
        ("-1", 0),
        ("", 0),
        ("9" * 5000, 10**19 - 1),
    ],
)
def test_a_length_of_any_length_is_read(said: str, size_bytes: int) -> None:
    assert announced_bytes(Headers({"content-length": said})) == size_bytes


def test_json_is_read_only_where_it_is_short(shared_http: Http) -> None:
    """It is read on the thread that answers everybody, into thirty times its memory."""
    long = b"[" + b"[]," * 1_000_000 + b"[]]"
    for path in ("/v1/search", "/v1/predict", "/v1/heads", "/v1/keys"):
        answer = shared_http.post(path, content=long, headers=JSON_KIND)
        refused(answer, 413, "request_too_large")
        refused(shared_http.post(path, content=long), 413, "request_too_large")
    labels = shared_http.put("/v1/datasets/colour/labels", content=long, headers=JSON_KIND)
    refused(labels, 422, "invalid_request")
