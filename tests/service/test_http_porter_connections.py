"""Connections on which requests are turned away: they live on, and answers come in their order."""

import asyncio
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import pytest
from live_server import Server, free_port, picture
from speaking import speaking

from service.http.porter import Answer, PorterProtocol


class Turned:
    """An application that turns away whoever asks for /busy, and echoes the others' bodies."""

    def __init__(self) -> None:
        self.reached: list[str] = []

    def turn_away(self, scope: Any) -> Answer | None:
        return (503, b"content-length: 4\r\n\r\nbusy") if scope["path"] == "/busy" else None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        self.reached.append(scope["path"])
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        length = str(len(body)).encode()
        headers = [(b"content-length", length)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        if scope["path"] == "/slow":
            await asyncio.sleep(0.3)
        await send({"type": "http.response.body", "body": body})


@pytest.fixture
def turned() -> Turned:
    return Turned()


@pytest.fixture
def connection(turned: Turned) -> Iterator[socket.socket]:
    """A connection to uvicorn with our protocol."""
    with (
        speaking(turned, PorterProtocol, keep_alive_s=1) as port,
        socket.create_connection(("127.0.0.1", port), timeout=10) as connected,
    ):
        yield connected


def post(path: str, body: bytes, *more: str, version: str = "1.1") -> bytes:
    lines = [f"POST {path} HTTP/{version}", "Host: here", f"Content-Length: {len(body)}", *more]
    return "\r\n".join([*lines, "", ""]).encode() + body


def read_answers(connection: socket.socket, count: int) -> list[tuple[int, bytes]]:
    """(status, body) of so many answers."""
    data, found = b"", []
    while len(found) < count:
        head, separator, rest = data.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].split(b"\r")[0] or 0)
        if separator and len(rest) >= length:
            found.append((int(head[9:12]), rest[:length]))
            data = rest[length:]
            continue
        more = connection.recv(1 << 16)
        assert more, "closed too early"
        data += more
    assert data == b""
    return found


def test_a_connection_that_was_refused_is_as_good_as_before(
    turned: Turned, connection: socket.socket
) -> None:
    for size in (0, 10, 50_000, 700_000):
        connection.sendall(post("/busy", b"x" * size))
        assert read_answers(connection, 1) == [(503, b"busy")]
        connection.sendall(post("/let-in", b"y" * size))
        assert read_answers(connection, 1) == [(200, b"y" * size)]
    assert turned.reached == ["/let-in"] * 4


def test_an_answer_is_one_packet_but_a_head_does_not_wait_for_a_slow_body(turned: Turned) -> None:
    packets = list[bytes]()

    class Recorder:
        def __init__(self, transport: Any) -> None:
            self._transport = transport

        def __getattr__(self, name: str) -> Any:
            return getattr(self._transport, name)

        def write(self, data: bytes) -> None:
            packets.append(data)
            self._transport.write(data)

    class Recorded(PorterProtocol):
        def connection_made(self, transport: Any) -> None:
            super().connection_made(Recorder(transport))  # type: ignore[arg-type]

    with (
        speaking(turned, Recorded, keep_alive_s=1) as port,
        socket.create_connection(("127.0.0.1", port), timeout=10) as connection,
    ):
        for path in ("/let-in", "/slow"):
            connection.sendall(post(path, b"body"))
            assert read_answers(connection, 1) == [(200, b"body")]
    whole, head, body = packets
    assert whole == head + body
    assert body == b"body"


def test_answers_come_in_the_order_of_the_questions(
    turned: Turned, connection: socket.socket
) -> None:
    asked = ["/let-in", "/busy", "/busy", "/let-in", "/busy"] * 100 + ["/busy"] * 3000
    whole = b"".join(post(path, str(n).encode()) for n, path in enumerate(asked))
    Thread(target=connection.sendall, args=(whole,), daemon=True).start()
    answers = read_answers(connection, len(asked))
    for n, (path, (status, body)) in enumerate(zip(asked, answers, strict=True)):
        # What waits behind another goes the usual way, where this application lets all in.
        assert (status, body) in {(200, str(n).encode()), (503, b"busy")}
        assert status == 200 or path == "/busy"
    assert "/let-in" in turned.reached


def test_the_answer_to_head_has_left_before_the_next_is_turned_away(
    turned: Turned, connection: socket.socket
) -> None:
    head = b"HEAD /let-in HTTP/1.1\r\nHost: here\r\n\r\n"
    connection.sendall(head + post("/busy", b""))
    assert read_answers(connection, 2) == [(200, b""), (503, b"busy")]


def test_whoever_wants_the_connection_closed_goes_the_usual_way(
    turned: Turned, connection: socket.socket
) -> None:
    connection.sendall(post("/busy", b"z", "Connection: close"))
    assert read_answers(connection, 1) == [(200, b"z")]
    assert connection.recv(1) == b""
    assert turned.reached == ["/busy"]


@pytest.mark.parametrize("is_finished", [False, True])
def test_a_refused_connection_that_says_no_more_is_closed_in_time(
    connection: socket.socket, *, is_finished: bool
) -> None:
    request = post("/busy", b"x" * 1000)
    connection.sendall(request[:-500])
    assert read_answers(connection, 1) == [(503, b"busy")]
    if is_finished:
        time.sleep(0.2)
        connection.sendall(request[-500:])
    begun = time.monotonic()
    assert connection.recv(1) == b""
    assert 0.5 < time.monotonic() - begun < 5


@pytest.mark.parametrize("logs", [False, True])
def test_a_server_turns_requests_away(
    home: Path, monkeypatch: pytest.MonkeyPatch, *, logs: bool
) -> None:
    monkeypatch.setenv("PENULTIMATE_LOG_REQUESTS", str(logs))
    monkeypatch.setenv("PENULTIMATE_ANSWER_THREADS", "1")
    monkeypatch.setenv("PENULTIMATE_MAX_WAITING_REQUESTS", "0")
    server = Server(home, free_port())
    server.start()
    try:
        request = httpx.Request(
            "POST", server.url + "/v1/embed", files={"images": picture("red", 1)}
        )
        head = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
        whole = f"POST /v1/embed HTTP/1.1\r\n{head}\r\n".encode() + request.read()
        with socket.create_connection(("127.0.0.1", server.port), timeout=20) as slow:
            slow.sendall(whole[:-10])
            with server.client() as client:
                answers = [busy(client) for _ in range(3)]
                metrics = client.get("/metrics").text
            slow.sendall(whole[-10:])
            assert slow.recv(12) == b"HTTP/1.1 200"
    finally:
        server.stop()
    for answer in answers:
        assert answer.json()["code"] == "overloaded"
        assert answer.json()["request_id"] == answer.headers["x-request-id"]
        assert answer.headers["retry-after"].isdigit()
        assert answer.headers["date"]
        assert answer.headers["cache-control"] == "no-store"
    assert 'route="/v1/embed",status="503"' in metrics
    assert ("status=503" in server.log()) == logs


def busy(client: httpx.Client) -> httpx.Response:
    """The first refusal: the one who is slow may not have arrived yet."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        answer = client.post("/v1/embed", files={"images": picture("green", 2)})
        if answer.status_code == 503:
            return answer
        assert answer.status_code == 200
    raise AssertionError("nobody was turned away")
