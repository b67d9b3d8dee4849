"""Overload: what is too much is refused at once, and what nobody waits for is not done."""

import asyncio
import time
from collections.abc import Awaitable, Iterator
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from in_process import Http, files, opened, refused, settings_of
from keyring import Keyring
from live_server import picture

from service.http.gate import ANSWERS, Gate
from service.names import DEFAULT_WORKSPACE
from service.workflows import predict

THREADS, WAITING = 2, 3


@pytest.fixture
def http(home: Path) -> Iterator[Http]:
    """A service with few places."""
    few = {"answer_threads": THREADS, "ingest_threads": 1, "max_waiting_requests": WAITING}
    with opened(settings_of(home, **few)) as http:
        assert http.predict(picture("red", 1)).status_code == 200
        yield http


@pytest.fixture(params=["in a thread", "without one"])
def held(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[Event]:
    """Predictions wait at their turn until the event is set."""
    let_go = Event()
    blocking, awaiting = predict.predict_images, predict.predict_soon

    def in_a_thread(*args: Any, **kwargs: Any) -> Any:
        assert let_go.wait(30)
        return blocking(*args, **kwargs)

    async def without(coming: Awaitable[Any]) -> Any:
        while not let_go.is_set():  # noqa: ASYNC110  threads set it, too
            await asyncio.sleep(0.01)
        return await coming

    def soon(*args: Any, **kwargs: Any) -> Any:
        if request.param == "in a thread":
            return None
        coming = awaiting(*args, **kwargs)
        assert coming is not None, "its heads have answered, and its store is read"
        return without(coming)

    monkeypatch.setattr(predict, "predict_images", in_a_thread)
    monkeypatch.setattr(predict, "predict_soon", soon)
    yield let_go
    let_go.set()


def asking(seed: int) -> tuple[str, str, dict[str, Any]]:
    return "POST", "/v1/predict", {"files": files(picture("red", 500 + seed))}


def test_requests_beyond_the_places_are_refused_at_once_and_the_others_answered(
    http: Http, held: Event
) -> None:
    async def run() -> tuple[list[Any], float]:
        tasks = [asyncio.create_task(http._send(*asking(n))) for n in range(THREADS + WAITING + 4)]
        start = time.monotonic()
        done, _ = await asyncio.wait(tasks, timeout=20, return_when=asyncio.FIRST_COMPLETED)
        while len(done) < 4:
            await asyncio.sleep(0.01)
            done = {task for task in tasks if task.done()}
        waited = time.monotonic() - start
        held.set()
        return [await task for task in tasks], waited

    answers, waited = asyncio.run(run())
    assert waited < 5
    assert sorted(a.status_code for a in answers) == [200] * (THREADS + WAITING) + [503] * 4
    for answer in answers:
        if answer.status_code == 503:
            refused(answer, 503, "overloaded")
            assert int(answer.headers["retry-after"]) >= 1
    assert http.predict(picture("red", 1)).status_code == 200, "places are given back"


@pytest.mark.parametrize("path", sorted(ANSWERS))
def test_a_refusal_does_not_go_through_the_framework(
    http: Http, held: Event, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    async def run() -> Any:
        busy = [asyncio.create_task(http._send(*asking(n))) for n in range(THREADS + WAITING)]
        while http.app.state.gates.answers._inside < THREADS + WAITING:  # noqa: ASYNC110  tells nobody
            await asyncio.sleep(0.01)
        with monkeypatch.context() as patched:
            patched.setattr(Gate, "place", None)
            answer = await http._send("POST", path, {"files": files(picture("red", 99))})
        held.set()
        await asyncio.gather(*busy)
        return answer

    answer = asyncio.run(run())
    refused(answer, 503, "overloaded")
    assert int(answer.headers["retry-after"]) >= 1
    assert f'route="{path}",status="503"' in http.get("/metrics").text


@pytest.mark.parametrize("path", sorted(ANSWERS))
def test_who_has_no_key_does_not_learn_that_the_server_is_busy(
    http: Http, held: Event, path: str
) -> None:
    keyring = Keyring(http)
    key = {"Authorization": f"Bearer {keyring.key('predict')}"}
    http.product.served(DEFAULT_WORKSPACE).ask(None)  # the catalog has changed

    async def run() -> tuple[Any, Any]:
        known = [(method, url, {**o, "headers": key}) for method, url, o in map(asking, range(5))]
        busy = [asyncio.create_task(http._send(*request)) for request in known]
        gate = http.app.state.gates.answers
        while gate._inside < THREADS + WAITING:  # noqa: ASYNC110  tells nobody
            await asyncio.sleep(0.01)
        stranger = await http._send("POST", path, {"files": files(picture("red", 99))})
        friend = await http._send(
            "POST", path, {"files": files(picture("red", 99)), "headers": key}
        )
        held.set()
        await asyncio.gather(*busy)
        return stranger, friend

    stranger, friend = asyncio.run(run())
    refused(stranger, 401, "unauthenticated")
    refused(friend, 503, "overloaded")


def test_light_requests_and_intake_do_not_wait_behind_answers(http: Http, held: Event) -> None:
    async def run() -> list[int]:
        busy = [asyncio.create_task(http._send(*asking(n))) for n in range(THREADS + WAITING)]
        await asyncio.sleep(0.2)
        body = {"files": files(picture("green", 9)), "data": {"labels": ["green"]}}
        light = [
            await asyncio.wait_for(http._send(*request), 10)
            for request in (
                ("GET", "/readyz", {}),
                ("GET", "/v1/heads", {}),
                ("POST", "/v1/datasets/colour/images", body),
            )
        ]
        held.set()
        await asyncio.gather(*busy)
        return [answer.status_code for answer in light]

    assert asyncio.run(run()) == [200, 200, 200]


def test_a_known_image_does_not_wait_behind_unknown_ones(http: Http, held: Event) -> None:
    known = files(picture("red", 1))
    held.set()
    for _ in range(2):
        assert http.post("/v1/predict", files=known).status_code == 200
        http.product.embedder.flush()
    held.clear()

    async def run() -> int:
        busy = [asyncio.create_task(http._send(*asking(n))) for n in range(THREADS + 1)]
        while http.app.state.gates.answers._inside <= THREADS:  # noqa: ASYNC110  tells nobody
            await asyncio.sleep(0.01)
        answer = await asyncio.wait_for(http._send("POST", "/v1/predict", {"files": known}), 10)
        held.set()
        await asyncio.gather(*busy)
        return answer.status_code

    assert asyncio.run(run()) == 200


def test_what_nobody_waits_for_any_more_is_not_done(http: Http, held: Event) -> None:
    async def run() -> None:
        busy = [asyncio.create_task(http._send(*asking(n))) for n in range(THREADS)]
        await asyncio.sleep(0.2)
        gone = asyncio.create_task(_send_and_leave(http))
        await asyncio.sleep(0.2)
        held.set()
        await asyncio.gather(*busy)
        await gone

    before = http.count("penultimate_forward_images_total")
    asyncio.run(run())
    looked_at = http.count("penultimate_forward_images_total") - before
    assert looked_at == THREADS
    assert 'status="499"' in http.get("/metrics").text


def test_what_is_given_up_as_its_turn_comes_is_not_begun() -> None:
    begun = list[str]()

    class Here:
        async def is_disconnected(self) -> bool:
            return False

    async def hold() -> None:
        await asyncio.sleep(0.05)
        loop = asyncio.get_running_loop()
        loop.call_soon(loop.call_soon, later.cancel)

    async def run(gate: Gate) -> None:
        nonlocal later
        here: Any = Here()
        first = asyncio.create_task(gate.run(here, lambda: None, hold))
        await asyncio.sleep(0.01)
        later = asyncio.create_task(gate.run(here, lambda: None, lambda: begun.append("late")))
        await asyncio.gather(first, later, return_exceptions=True)
        assert later.cancelled()

    later: asyncio.Task[None]
    asyncio.run(run(Gate(1, 1, lambda _: None)))
    assert begun == []


def test_requests_without_a_thread_are_learnt_from(http: Http) -> None:
    """How long one takes is what who is refused is told to wait."""
    gate = http.app.state.gates.answers
    before = gate._seconds
    assert http.predict(picture("red", 321)).status_code == 200
    assert gate._seconds != before


async def _send_and_leave(http: Http) -> None:
    """Sends a whole request by hand, and is gone before its answer."""
    request = AsyncRequest(picture("blue", 77))
    await http.app(request.scope, request.receive, request.send)


class AsyncRequest:
    """A prediction as a server hands it on, whose connection closes after the body."""

    def __init__(self, image: bytes) -> None:
        body = b'--x\r\nContent-Disposition: form-data; name="images"; filename="a.png"\r\n\r\n'
        self._messages = [
            {"type": "http.request", "body": body + image + b"\r\n--x--\r\n", "more_body": False}
        ]
        self.scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "POST",
            "path": "/v1/predict",
            "raw_path": b"/v1/predict",
            "root_path": "",
            "query_string": b"",
            "scheme": "http",
            "headers": [
                (b"host", b"127.0.0.1"),
                (b"content-type", b"multipart/form-data; boundary=x"),
            ],
            "client": ("127.0.0.1", 1),
            "server": ("test", 80),
        }

    async def receive(self) -> dict[str, Any]:
        return self._messages.pop() if self._messages else {"type": "http.disconnect"}

    async def send(self, message: dict[str, Any]) -> None:
        """Nobody is there."""
