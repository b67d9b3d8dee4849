"""The porter: it says what guard and edge would have said, or nothing."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from in_process import Http, opened, settings_of
from keyring import Keyring
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from service.http.gate import ANSWERS
from service.http.porter import Answer, Porter
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
