"""The porter: it says what guard and edge would have said, or nothing; connections live on."""

import asyncio
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from in_process import Http, opened, settings_of
from keyring import Keyring
from live_server import Server, free_port, picture
from speaking import speaking
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from service.http.gate import ANSWERS
from service.http.porter import Answer, Porter, PorterProtocol
from service.settings import Settings

MOST_BYTES = 100_000


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Http]:
    """A service whose every place is taken; without keys."""
    with crowded(settings_of(tmp_path_factory.mktemp("full"), **limits())) as http:
        yield http


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Http, Keyring]]:
    """The same where a key is needed."""
    with crowded(settings_of(tmp_path_factory.mktemp("locked"), **limits())) as http:
        keyring = Keyring(http)
        for secret in (keyring.key("predict"), keyring.key("admin"), keyring.revoked()):
            assert secret
        fresh(http)
        yield http, keyring


def limits() -> dict[str, Any]:
    return {"max_request_bytes": MOST_BYTES}


@contextmanager
def crowded(given_: Settings) -> Iterator[Http]:
    with opened(given_) as http:
        http.app.state.gates.answers._inside = 10**6
        fresh(http)
        yield http


def fresh(http: Http) -> None:
    http.product.door._seen = -2
    http.product.door.refresh()
    http.product.door._read_at = float("inf")


def porter(http: Http) -> Porter:
    return Porter(http.app.state, http.metrics, MOST_BYTES)


def scope_of(
    headers: list[tuple[bytes, bytes]] | None = None,
    *,
    method: str = "POST",
    path: str = "/v1/predict",
    scheme: str = "http",
    client: tuple[str, int] | None = ("127.0.0.1", 4242),
) -> dict[str, Any]:
    """A request as uvicorn describes it."""
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "scheme": scheme,
        "headers": [(b"host", b"127.0.0.1:3000")] if headers is None else headers,
        "client": client,
        "server": ("127.0.0.1", 3000),
        "state": {},
    }


Said = tuple[int, list[tuple[bytes, bytes]], bytes]
"""Status, headers and body."""


def usual(http: Http, scope: dict[str, Any]) -> Said:
    """What the application answers."""
    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    # As uvicorn does: what a proxy on the same machine says of its clients is believed.
    asyncio.run(ProxyHeadersMiddleware(http.app)(scope, receive, send))  # type: ignore[arg-type]
    body = b"".join(message.get("body", b"") for message in sent)
    return sent[0]["status"], sorted((n.lower(), v) for n, v in sent[0]["headers"]), body


def parsed(answer: Answer) -> Said:
    """What a client reads."""
    status, raw = answer
    head, _, body = raw.partition(b"\r\n\r\n")
    return status, sorted(pair(line) for line in head.split(b"\r\n")), body


def pair(line: bytes) -> tuple[bytes, bytes]:
    name, _, value = line.partition(b": ")
    return name, value


KEYS = ("none", "predict", "admin", "revoked", "wrong", "twice", "basic")

OTHERS: list[tuple[bytes, bytes]] = [
    (b"origin", b"https://friend.example"),
    (b"origin", b"https://evil.example"),
    (b"origin", b"http://["),
    (b"x-forwarded-for", b"10.1.2.3"),
    (b"x-forwarded-proto", b"https"),
    (b"expect", b"100-continue"),
    (b"content-length", str(MOST_BYTES).encode()),
    (b"content-length", str(MOST_BYTES + 1).encode()),
    (b"content-length", b"many"),
    (b"content-length", "\N{SUPERSCRIPT TWO}".encode("latin-1")),
    (b"transfer-encoding", b"chunked"),
    (b"accept", b"*/*"),
]


def with_key(which: str, keyring: Keyring | None) -> list[tuple[bytes, bytes]]:
    """Headers that carry a key of some kind."""
    if which == "none" or keyring is None:
        return []
    secret = keyring.revoked() if which == "revoked" else keyring.key("predict")
    if which == "admin":
        secret = keyring.key("admin")
    said = {"wrong": "Bearer no-such-key", "basic": f"Basic {secret}"}.get(
        which, f"Bearer {secret}"
    )
    return [(b"authorization", said.encode())] * (2 if which == "twice" else 1)


@pytest.mark.parametrize("which", ["none", "predict"])
@pytest.mark.parametrize("other", OTHERS, ids=lambda pair: f"{pair[0].decode()}")
def test_it_says_the_same_whatever_else_is_said(
    full: Http, locked: tuple[Http, Keyring], which: str, other: tuple[bytes, bytes]
) -> None:
    http, keyring = (full, None) if which == "none" else locked
    named = [(b"host", b"127.0.0.1:3000"), (b"x-request-id", b"as-they-say"), other]
    scope = scope_of([*named, *with_key(which, keyring)])
    said = porter(http).turn_away(dict(scope))
    assert said is None or parsed(said) == usual(http, scope)


@pytest.mark.parametrize(("method", "path"), [("GET", "/v1/predict"), ("POST", "/v1/heads")])
def test_what_is_no_question_is_let_in(full: Http, method: str, path: str) -> None:
    assert porter(full).turn_away(scope_of(method=method, path=path)) is None


@settings(max_examples=200, deadline=None)
@given(
    needs_key=st.booleans(),
    which=st.sampled_from(KEYS),
    theirs=st.from_regex(rb"[a-zA-Z0-9._-]{1,64}", fullmatch=True),
    host=st.sampled_from((b"127.0.0.1:3000", b"localhost", b"ward7.example", b"")),
    others=st.lists(st.sampled_from(OTHERS), max_size=2, unique_by=lambda pair: pair[0]),
    method=st.sampled_from(("POST", "POST", "POST", "GET", "PUT", "HEAD", "OPTIONS")),
    path=st.sampled_from((*sorted(ANSWERS), "/v1/heads", "/livez", "/v1/predict/")),
    scheme=st.sampled_from(("http", "https")),
    client=st.sampled_from((("127.0.0.1", 1), ("::1", 1), ("10.0.0.9", 1), None)),
)
def test_it_says_what_the_application_would_have_said_or_nothing(  # noqa: PLR0913
    full: Http,
    locked: tuple[Http, Keyring],
    *,
    needs_key: bool,
    which: str,
    theirs: bytes,
    host: bytes,
    others: list[tuple[bytes, bytes]],
    method: str,
    path: str,
    scheme: str,
    client: tuple[str, int] | None,
) -> None:
    http, keyring = locked if needs_key else (full, None)
    headers = [(b"host", host), (b"x-request-id", theirs), *others]
    headers += with_key(which, keyring)
    scope = scope_of(headers, method=method, path=path, scheme=scheme, client=client)
    said = porter(http).turn_away(dict(scope))
    if said is not None:
        assert said[0] == 503
        assert parsed(said) == usual(http, scope)


@pytest.mark.parametrize("path", sorted(ANSWERS))
def test_requests_without_a_place_are_turned_away_and_counted(full: Http, path: str) -> None:
    counted = f'penultimate_request_seconds_count{{method="POST",route="{path}",status="503"}}'
    before = full.count(counted)
    said = porter(full).turn_away(scope_of(path=path))
    assert said is not None
    assert full.count(counted) == before + 1
    headers = dict(parsed(said)[1])
    assert int(headers[b"retry-after"]) > 60  # a million wait
    assert len(headers[b"x-request-id"]) == 32


def test_whoever_has_a_key_is_turned_away_and_nobody_else_is_told(
    locked: tuple[Http, Keyring],
) -> None:
    http, keyring = locked
    said = {
        which: porter(http).turn_away(scope_of(with_key(which, keyring))) is not None
        for which in KEYS
    }
    assert said == {which: which in ("predict", "admin") for which in KEYS}


def test_whoever_has_a_key_is_turned_away_through_a_proxy_too(
    locked: tuple[Http, Keyring], full: Http
) -> None:
    http, keyring = locked
    via = (b"x-forwarded-for", b"10.1.2.3")
    assert porter(http).turn_away(scope_of([via, *with_key("predict", keyring)])) is not None
    # Without keys only this machine is answered, and the proxy alone is on it.
    assert porter(full).turn_away(scope_of([(b"host", b"127.0.0.1:3000"), via])) is None


def test_every_request_for_which_there_is_a_place_is_let_in(full: Http) -> None:
    gate = full.app.state.gates.answers
    inside, gate._inside = gate._inside, gate._places - 1
    try:
        assert porter(full).turn_away(scope_of()) is None
    finally:
        gate._inside = inside


def test_keys_that_may_have_changed_are_not_judged_by(full: Http) -> None:
    door = full.product.door
    assert porter(full).turn_away(scope_of()) is not None
    read_at, door._read_at = door._read_at, float("-inf")
    try:
        assert porter(full).turn_away(scope_of()) is None
    finally:
        door._read_at = read_at


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
