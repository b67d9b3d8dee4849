"""A folder goes in requests of a good size, two at a time, and comes back as one answer."""

import asyncio
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest
from answering import PROBLEM, answering, client_of

from service.calls.folders import INGEST_IMAGES, cut
from service.client import AsyncClient, PenultimateError
from service.folders import Entry, Folder


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


def test_a_name_that_leads_in_a_circle_is_rejected_too(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, 2)
    looped = folder.entries[1].path
    looped.unlink()
    looped.symlink_to(looped)

    answer = client_of(CountingServer()).ingest_folder("d", folder)

    assert (answer["added"], len(answer["rejected"])) == (1, 1)


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
