"""Heads of requests that are too long or too slow: refused, hung up on, and never kept."""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import orjson
import pytest
from speaking import speaking

from service.http import intake
from service.http.intake import HEAD_BYTES, LimitedProtocol

LINE = b"POST / HTTP/1.1\r\nHost: here\r\n"
CHUNKED = LINE + b"Transfer-Encoding: chunked\r\n\r\n"


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Says how much has come."""
    if scope["type"] != "http":
        return
    size, more = 0, True
    while more:
        message = await receive()
        size, more = size + len(message.get("body", b"")), message.get("more_body", False)
    body = str(size).encode()
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture
def port() -> Iterator[int]:
    """Uvicorn with our protocol."""
    with speaking(echo, LimitedProtocol, keep_alive_s=60) as port:
        yield port


@contextmanager
def connected(port: int) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        yield connection


def sent_until_refused(port: int, begin: bytes, again: bytes, most_bytes: int) -> tuple[int, bytes]:
    """(bytes that were taken, what came back) of a client that goes on and on."""
    with connected(port) as connection:
        connection.sendall(begin)
        sent = 0
        try:
            while sent < most_bytes:
                connection.sendall(again)
                sent += len(again)
                time.sleep(0.002)
        except OSError:
            pass
        try:
            return sent, connection.recv(1 << 16)
        except OSError:
            return sent, b""


@pytest.mark.parametrize(
    ("begin", "again"),
    [
        (LINE, b"a:b\r\n" * 1000),
        (LINE + b"long: ", b"x" * 5000),
        (b"GET /", b"x" * 5000),
        (b"", b"\r\n" * 2500),
        (CHUNKED + b"0\r\n", b"a:b\r\n" * 1000),
        (CHUNKED + b"0\r\nlong: ", b"x" * 5000),
        (CHUNKED + b"1;", b"x" * 5000),
    ],
    ids=["headers", "a header", "a path", "nothing", "trailers", "a trailer", "a chunk's name"],
)
def test_what_never_ends_is_refused_soon(port: int, begin: bytes, again: bytes) -> None:
    sent, answer = sent_until_refused(port, begin, again, most_bytes=20 * 2**20)
    # What was on its way when the connection was closed counts as sent too.
    assert sent < 8 * 2**20
    if answer:  # a connection that is reset may lose its last words
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 431")
        assert orjson.loads(body)["code"] == "head_too_large"


def test_a_head_that_is_long_but_not_too_long_is_let_in(port: int) -> None:
    cookie = b"x" * (HEAD_BYTES - 1000)
    with connected(port) as connection:
        for _ in range(3):
            connection.sendall(LINE + b"Cookie: " + cookie + b"\r\nContent-Length: 5\r\n\r\nhello")
            assert connection.recv(4096).endswith(b"5")


@pytest.mark.parametrize("piece", [1, 7, 70_000])
def test_bodies_are_as_long_as_they_like_in_pieces_of_any_size(port: int, piece: int) -> None:
    count = 300_000 // piece
    chunk = b"%x\r\n%s\r\n" % (piece, b"y" * piece)
    with connected(port) as connection:
        connection.sendall(CHUNKED + chunk * count + b"0\r\n\r\n")
        assert connection.recv(4096).endswith(str(count * piece).encode())


@pytest.mark.parametrize("said", [b"", b"GET / HT", LINE])
def test_a_connection_that_does_not_ask_is_closed_in_time(
    port: int, said: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "HEAD_S", 0.5)
    begun = time.monotonic()
    with connected(port) as connection:
        connection.sendall(said)
        assert connection.recv(1) == b""
    assert 0.3 < time.monotonic() - begun < 5


def test_one_that_has_asked_may_take_its_time_with_the_body(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "HEAD_S", 0.3)
    with connected(port) as connection:
        for _ in range(2):
            connection.sendall(LINE + b"Content-Length: 4\r\n\r\nab")
            time.sleep(0.6)
            connection.sendall(b"cd")
            assert connection.recv(4096).endswith(b"4")
            time.sleep(0.5)  # between two requests it is uvicorn that waits


async def shut(scope: Any, receive: Any, send: Any) -> None:
    """Answers without having read a body."""
    if scope["type"] == "http":
        headers = [(b"content-length", b"2")]
        await send({"type": "http.response.start", "status": 401, "headers": headers})
        await send({"type": "http.response.body", "body": b"no"})


@pytest.fixture
def shut_port() -> Iterator[int]:
    """A server that lets nobody in."""
    with speaking(shut, LimitedProtocol, keep_alive_s=60) as port:
        yield port


@pytest.mark.parametrize("rest", [[], [b"x"], [b"x"] * 12])
def test_a_body_that_nobody_reads_must_end_soon_after_its_answer(
    shut_port: int, rest: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "HEAD_S", 0.5)
    begun = time.monotonic()
    with connected(shut_port) as connection:
        connection.sendall(LINE + b"Content-Length: 1000\r\n\r\n")
        assert connection.recv(4096).startswith(b"HTTP/1.1 401")
        with suppress(OSError):
            for piece in rest:
                time.sleep(0.1)
                connection.sendall(piece)
            assert connection.recv(1) == b""
    assert 0.3 < time.monotonic() - begun < 5


def test_after_a_body_that_ended_in_time_more_may_be_asked(
    shut_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "HEAD_S", 0.5)
    with connected(shut_port) as connection:
        for _ in range(2):
            connection.sendall(LINE + b"Content-Length: 2\r\n\r\na")
            assert connection.recv(4096).startswith(b"HTTP/1.1 401")
            connection.sendall(b"b")
            time.sleep(0.8)  # between two requests it is uvicorn that waits
