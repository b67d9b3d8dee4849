"""Requests are repeated, refused and read the same way by both clients."""

import asyncio
import io
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.batches import INGEST_IMAGES, cut
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
from service.folders import Entry, Folder

Handler = Callable[[httpx.Request], httpx.Response]

PROBLEM = {
    "type": "about:blank",
    "title": "Not found",
    "status": 404,
    "detail": "There is no head 'x'.",
    "code": "head_not_found",
    "hint": "GET /v1/heads lists those there are.",
    "problems": [{"code": "a", "detail": "b"}],
}


def client_of(handler: Handler, key: str | None = None) -> Client:
    return Client("http://test", key, transport=httpx.MockTransport(handler))


def answering(*responses: httpx.Response) -> tuple[Handler, list[httpx.Request]]:
    """A server that gives these responses in turn, and what it was asked."""
    left, asked = list(responses), []

    def handler(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return left.pop(0)

    return handler, asked


def busy(status: int = 503, after: str = "0") -> httpx.Response:
    body = {**PROBLEM, "status": status, "code": "overloaded"}
    return httpx.Response(status, json=body, headers={"Retry-After": after})


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
    assert asked == []


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

    client_of(handler).delete_version("../datasets/x?y#z", 1)

    assert asked[0].url.raw_path == b"/v1/heads/..%2Fdatasets%2Fx%3Fy%23z/versions/1"


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


# --- folders -------------------------------------------------------------------------------------


def folder_of(root: Path, number: int, size_bytes: int = 10) -> Folder:
    entries = []
    for i in range(number):
        path = root / f"{i:04}.png"
        path.write_bytes(str(i).zfill(size_bytes).encode())
        entries.append(Entry(path, "ab"[i % 2] + f"/{i:04}.png", "ab"[i % 2]))
    return Folder(root, tuple(entries))


class CountingServer:
    """Takes images; counts requests that are under way at once; refuses what is too large."""

    def __init__(self, max_bytes: int = 10**9, pause_s: float = 0.0) -> None:
        self.names: list[str] = []
        self.requests = 0
        self.at_once = 0
        self.most_at_once = 0
        self._max_bytes = max_bytes
        self._pause_s = pause_s
        self._lock = threading.Lock()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        with self._lock:
            self.requests += 1
            self.at_once += 1
            self.most_at_once = max(self.at_once, self.most_at_once)
        threading.Event().wait(self._pause_s)
        response = self._answer(request.read())
        with self._lock:
            self.at_once -= 1
        return response

    async def later(self, request: httpx.Request) -> httpx.Response:
        self.requests += 1
        self.at_once += 1
        self.most_at_once = max(self.at_once, self.most_at_once)
        await asyncio.sleep(self._pause_s)
        response = self._answer(await request.aread())
        self.at_once -= 1
        return response

    def _answer(self, body: bytes) -> httpx.Response:
        if len(body) > self._max_bytes:
            too_large = {**PROBLEM, "status": 413, "code": "request_too_large"}
            return httpx.Response(413, json=too_large)
        names = [part.partition(b'"')[0].decode() for part in body.split(b'filename="')[1:]]
        with self._lock:
            self.names += names
            labels = {"all": len(self.names)}
        return httpx.Response(
            200,
            json={
                "dataset": "d",
                "added": len(names),
                "known": 0,
                "rejected": [],
                "labels": labels,
                "images": [{"filename": name} for name in names],
            },
        )


def test_a_folder_goes_in_batches_two_at_a_time_and_comes_back_in_order(tmp_path: Path) -> None:
    server, seen = CountingServer(pause_s=0.02), []
    folder = folder_of(tmp_path, 5 * INGEST_IMAGES + 3)

    answer = client_of(server).ingest_folder(
        "d", folder, on_progress=lambda done, total: seen.append((done, total))
    )

    names = [e.name for e in folder.entries]
    assert answer["added"] == len(names)
    assert answer["labels"] == {"all": len(names)}
    assert [i["filename"] for i in answer["images"]] == names
    assert server.requests == 6
    assert server.most_at_once == 2
    assert seen[0] == (0, len(names))
    assert seen[-1] == (len(names), len(names))


def test_the_async_client_sends_the_same_batches(tmp_path: Path) -> None:
    server = CountingServer(pause_s=0.02)
    folder = folder_of(tmp_path, 3 * INGEST_IMAGES)

    async def run() -> dict[str, Any]:
        transport = httpx.MockTransport(server.later)
        async with AsyncClient("http://test", transport=transport) as client:
            return await client.ingest_folder("d", folder)

    answer = asyncio.run(run())

    assert [i["filename"] for i in answer["images"]] == [e.name for e in folder.entries]
    assert (server.requests, server.most_at_once) == (3, 2)


def test_a_batch_that_is_too_large_is_halved_and_a_file_that_is_is_rejected(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, 8)
    folder.entries[5].path.write_bytes(b"x" * 5_000)
    server = CountingServer(max_bytes=2_500)

    answer = client_of(server).ingest_folder("d", folder)

    assert answer["added"] == 7
    assert [(r["filename"], r["code"]) for r in answer["rejected"]] == [
        (folder.entries[5].name, "request_too_large")
    ]


def test_a_file_that_cannot_be_read_is_rejected_and_the_others_are_taken(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, 3)
    folder.entries[1].path.unlink()

    answer = client_of(CountingServer()).ingest_folder("d", folder)

    assert answer["added"] == 2
    assert [(r["filename"], r["code"]) for r in answer["rejected"]] == [
        (folder.entries[1].name, "unreadable_file")
    ]


def test_a_refusal_ends_the_folder(tmp_path: Path) -> None:
    refused = httpx.Response(422, json={**PROBLEM, "status": 422, "code": "invalid_request"})
    handler, asked = answering(*(refused for _ in range(9)))

    with pytest.raises(PenultimateError, match="head"):
        client_of(handler).ingest_folder("d", folder_of(tmp_path, 9 * INGEST_IMAGES))

    assert len(asked) <= 3


def test_requests_are_cut_by_number_and_by_bytes(tmp_path: Path) -> None:
    sizes = [20, 20, 10, 40, 1, 1]
    for i, megabytes in enumerate(sizes):
        with (tmp_path / str(i)).open("wb") as file:
            file.truncate(megabytes * 2**20)

    parts = list(cut([tmp_path / str(i) for i in range(len(sizes))]))

    assert [sizes[part] for part in parts] == [[20], [20, 10], [40], [1, 1]]


def test_labels_groups_and_splits_run_parallel_to_the_files(tmp_path: Path) -> None:
    entries = [
        Entry(tmp_path / "1", "a/1", "a", "p1", "train"),
        Entry(tmp_path / "2", "b/2", "b", None, None),
    ]
    for entry in entries:
        entry.path.write_bytes(b"x")
    server = CountingServer()
    bodies: list[bytes] = []

    def handler(request: httpx.Request) -> httpx.Response:
        bodies.append(request.read())
        return server(request)

    client_of(handler).ingest_folder("d", Folder(tmp_path, tuple(entries)))

    said = [
        (name, part.partition(b"\r\n\r\n")[2].partition(b"\r\n")[0].decode())
        for part in bodies[0].split(b'; name="')[1:]
        if (name := part.partition(b'"')[0].decode()) != "images"
    ]
    assert said == [
        *(("labels", v) for v in ("a", "b")),
        *(("groups", v) for v in ("p1", "")),
        *(("splits", v) for v in ("train", "")),
    ]


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
