"""Requests are repeated, refused and read the same way by both clients."""

import io
import json
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from answering import PROBLEM, answering, busy, client_of

from service.client import (
    AsyncClient,
    Client,
    FolderUnusable,
    JobFailed,
    NamedImage,
    PenultimateError,
    ServerUnreachable,
    StillRunning,
)


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_server_is_asked_again_with_the_same_request(status: int) -> None:
    handler, asked = answering(busy(status), busy(status), httpx.Response(200, json={"ok": 1}))

    answer = client_of(handler).predict([b"image"], "h")

    assert answer == {"ok": 1}
    assert len(asked) == 3
    assert all(b"image" in request.read() for request in asked)


def test_a_server_that_stays_busy_is_an_error_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    handler, asked = answering(*(busy(after="20") for _ in range(3)))
    slept: list[float] = []
    monkeypatch.setattr("service.client.time.sleep", slept.append)

    with pytest.raises(PenultimateError) as refused:
        client_of(handler).heads()

    assert refused.value.code == "overloaded"
    assert len(asked) == 2
    assert slept == [0.0, 20.0]  # 20 s more would be too long


def test_a_column_that_says_nothing_of_any_image_is_not_sent() -> None:
    handler, asked = answering(httpx.Response(200, json={}))

    client_of(handler).ingest("d", [b"1", b"2"], ["a", None], groups=["", None], splits=None)

    form = asked[0].read()
    assert [form.count(name) for name in (b'"labels"', b'"groups"', b'"splits"')] == [2, 0, 0]


def test_what_would_be_ignored_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    handler, asked = answering()
    client = client_of(handler)
    with pytest.raises(ValueError, match="not both"):
        client.predict([b"image"], digests=["0" * 64])
    with pytest.raises(ValueError, match="not both"):
        client.ingest("d", b"image", archive=b"zip")
    with pytest.raises(FolderUnusable, match="is a folder"):
        client.predict(tmp_path)
    with pytest.raises(ValueError, match="exactly one"):
        client.search(b"image", digest="0" * 64)
    with pytest.raises(ValueError, match="exactly one"):
        client.search()
    with pytest.raises(ValueError, match="not finite"):
        client.search(vector=[0.0, float("nan")])
    with pytest.raises(ValueError, match="ingest_folder"):
        client.ingest("d", tmp_path, ["a"])
    with pytest.raises(ValueError, match="of a folder"):
        client.learn("h", "dataset", groups="groups.csv")
    with pytest.raises(FolderUnusable, match="no folder"):
        client.learn("h", tmp_path / "none")
    assert asked == []


@pytest.mark.parametrize("image", [("a.png", b"data"), 7, None])
def test_what_is_no_image_is_refused_by_its_type(image: Any) -> None:
    with pytest.raises(TypeError, match=type(image).__name__):
        client_of(answering()[0]).predict([image])


def test_one_text_is_not_the_labels_of_two_images() -> None:
    with pytest.raises(TypeError, match="labels"):
        client_of(answering()[0]).ingest("d", [b"1", b"2"], "ab")


def test_a_vector_may_be_an_array() -> None:
    handler, asked = answering(httpx.Response(200, json={}))

    client_of(handler).search(vector=np.array([0.5, 2.0], np.float32))

    assert json.loads(asked[0].read())["vector"] == [0.5, 2.0]


def test_an_open_file_is_sent_whole_again_after_a_pause() -> None:
    handler, asked = answering(busy(), httpx.Response(200, json={}))

    client_of(handler).ingest("d", archive=io.BytesIO(b"a whole archive"))

    assert [b"a whole archive" in request.read() for request in asked] == [True, True]


def test_a_problem_is_an_exception_with_its_fields() -> None:
    handler, _ = answering(httpx.Response(404, json=PROBLEM))

    with pytest.raises(PenultimateError) as refused:
        client_of(handler).head("x")

    error = refused.value
    assert (error.status, error.code, error.title) == (404, "head_not_found", "Not found")
    assert (error.detail, error.hint) == (PROBLEM["detail"], PROBLEM["hint"])
    assert (error.type, error.problems) == ("about:blank", PROBLEM["problems"])
    assert error.answer == PROBLEM


@pytest.mark.parametrize(
    "response",
    [
        httpx.Response(502, text="<html>Bad gateway</html>"),
        httpx.Response(200, text="<html>Welcome</html>"),
        httpx.Response(301, headers={"Location": "http://elsewhere"}),
        httpx.Response(500, json={"error": "?"}),
        httpx.Response(200, json=[1]),
    ],
)
def test_whatever_is_no_answer_of_ours_says_so(response: httpx.Response) -> None:
    handler, _ = answering(response)

    with pytest.raises(ServerUnreachable) as refused:
        client_of(handler).heads()

    assert refused.value.status == response.status_code
    assert "http://test" in refused.value.detail


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "127.0.0.1:1", "ftp://x", "http://"])
def test_nobody_there_is_an_error_with_a_hint(url: str) -> None:
    with pytest.raises(ServerUnreachable) as refused, Client(url) as client:
        client.heads()

    assert refused.value.status == 0
    assert refused.value.hint


def test_the_key_goes_as_a_bearer_token_and_is_absent_without_one() -> None:
    handler, asked = answering(*(httpx.Response(200, json={}) for _ in range(2)))

    client_of(handler, "secret").heads()
    client_of(handler).heads()

    assert asked[0].headers["Authorization"] == "Bearer secret"
    assert "Authorization" not in asked[1].headers


def test_every_learn_has_a_key_of_its_own_that_repeats_keep() -> None:
    accepted = httpx.Response(202, json={"id": "1", "state": "queued"})
    handler, asked = answering(busy(), accepted, accepted, accepted)
    client = client_of(handler)

    client.learn("h", "d")
    client.learn("h", "d")
    client.learn("h", "d", idempotency_key="mine")

    keys = [request.headers["Idempotency-Key"] for request in asked]
    assert keys[0] == keys[1] != keys[2]
    assert keys[3] == "mine"


@pytest.mark.parametrize(
    ("image", "name", "data"),
    [
        (b"raw", "image-0", b"raw"),
        (NamedImage("über.png", b"raw"), "über.png", b"raw"),
        (NamedImage("\udcff.png", b"raw"), "?.png", b"raw"),
        (io.BytesIO(b"open"), "image-0", b"open"),
    ],
)
def test_images_may_be_bytes_named_bytes_or_open_files(image: Any, name: str, data: bytes) -> None:
    handler, asked = answering(httpx.Response(200, json={}))

    client_of(handler).predict(image)

    body = asked[0].read()
    assert f'filename="{name}"'.encode() in body
    assert data in body


def test_images_may_be_paths(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"from disk")
    handler, asked = answering(httpx.Response(200, json={}))

    client_of(handler).predict([tmp_path / "a.png", str(tmp_path / "a.png")])

    assert asked[0].read().count(b"from disk") == 2
    assert asked[0].read().count(b'filename="a.png"') == 2


def test_no_image_at_all_is_refused_before_anything_is_sent() -> None:
    handler, asked = answering()

    with pytest.raises(ValueError, match="no image"):
        client_of(handler).predict([])

    assert asked == []


def test_names_cannot_leave_their_place_in_the_path() -> None:
    handler, asked = answering(httpx.Response(200, json={}))

    client_of(handler).delete_version("x?y#z", 1)
    assert asked[0].url.raw_path == b"/v1/heads/x%3Fy%23z/versions/1"
    # A server reads %2F as a slash: what was meant as a name would be another route.
    for name in ("../datasets/x", "x/versions/1", ".", "..", ""):
        with pytest.raises(PenultimateError, match="cannot be a name"):
            client_of(handler).delete_head(name)
    assert len(asked) == 1


def test_a_disk_that_is_full_is_told_of_within_seconds_and_not_after_minutes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slept: list[float] = []
    monkeypatch.setattr("service.client.time.sleep", slept.append)
    full = {"code": "store_unavailable", "detail": "No space left on device", "status": 503}
    said = httpx.Response(503, json=full, headers={"Retry-After": "5"})
    handler, asked = answering(*[said] * 9)
    with pytest.raises(PenultimateError, match="No space left"):
        client_of(handler).heads()
    assert len(asked) > 1
    assert sum(slept) <= 10


def test_what_is_done_but_for_the_servers_own_work_is_not_asked_for_again() -> None:
    """Asked again, it would say that there is no such image."""
    done = {"code": "erasure_pending", "detail": "It is erased, but for a log", "status": 503}
    handler, asked = answering(httpx.Response(503, json=done), httpx.Response(404, json=PROBLEM))
    with pytest.raises(PenultimateError, match="It is erased"):
        client_of(handler).erase("f" * 64)
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("url", "key", "says"),
    [("http://[::1", None, r"http://\[::1"), ("http://here", "pen\N{EN DASH}ultimate", "key")],
)
def test_an_address_or_a_key_that_is_none_is_refused_before_anything_is_sent(
    url: str, key: str | None, says: str
) -> None:
    for kind in (Client, AsyncClient):
        with pytest.raises(PenultimateError, match=says):
            kind(url, key)


@pytest.mark.parametrize(("status", "ready"), [(200, True), (503, False)])
def test_readiness_is_the_status_whatever_the_body(status: int, ready: bool) -> None:  # noqa: FBT001 - a parameter
    handler, _ = answering(httpx.Response(status, text="\n"))

    assert client_of(handler).ready() == {"ready": ready}


def job(state: str, **more: Any) -> httpx.Response:
    return httpx.Response(200, json={"id": "1", "state": state, **more})


def test_waiting_looks_until_the_job_is_done_and_tells_every_look() -> None:
    handler, _ = answering(job("queued"), job("running"), job("running"), job("succeeded"))
    seen: list[str] = []

    done = client_of(handler).wait("1", on_progress=lambda j: seen.append(j["state"]))

    assert done["state"] == "succeeded"
    assert seen == ["queued", "running", "running", "succeeded"]


def test_waiting_for_a_job_that_fails_raises_its_problem() -> None:
    handler, _ = answering(job("running"), job("failed", error=PROBLEM))

    with pytest.raises(JobFailed) as refused:
        client_of(handler).wait("1")

    assert refused.value.code == "head_not_found"
    assert refused.value.job["state"] == "failed"


def test_waiting_for_a_cancelled_job_says_so() -> None:
    handler, _ = answering(job("cancelled", error=None))

    with pytest.raises(JobFailed) as refused:
        client_of(handler).wait("1")

    assert refused.value.code == "job_cancelled"


def test_waiting_ends_after_the_time_that_was_given() -> None:
    with pytest.raises(StillRunning) as refused:
        client_of(lambda _: job("running")).wait("1", timeout_s=0.2)

    assert refused.value.job["state"] == "running"


def test_both_clients_have_the_same_methods() -> None:
    def verbs(kind: type) -> set[str]:
        return {n for n, v in vars(kind).items() if not n.startswith("_") and callable(v)}

    assert verbs(Client) - {"close"} == verbs(AsyncClient) - {"aclose"}


def test_json_bodies_hold_what_was_asked() -> None:
    handler, asked = answering(*(httpx.Response(200, json={}) for _ in range(3)))
    client = client_of(handler)

    client.predict(digests=["d1"], heads="h", evidence=2)
    client.search(vector=[1.0, 2.0], k=3, label="a")
    client.promote("h", 2, reason="better")

    assert [json.loads(request.read()) for request in asked] == [
        {"digests": ["d1"], "heads": ["h"], "evidence": 2},
        {"vector": [1.0, 2.0], "k": 3, "label": "a"},
        {"version": 2, "reason": "better"},
    ]
