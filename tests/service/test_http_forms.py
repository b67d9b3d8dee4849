"""Multipart bodies of every kind of wrong: answered or refused, never broken and never kept."""

import asyncio
import shutil
import time
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from in_process import Http, opened, refused, settings_of
from live_server import picture
from starlette.requests import Request

from service.http.forms import SHORT_BYTES, read_form

KIND = {"content-type": "multipart/form-data; boundary=XX"}

FILE = b'--XX\r\nContent-Disposition: form-data; name="images"; filename="a.png"\r\n\r\n'
WHOLE = FILE + picture("red", 1) + b"\r\n"
FIELD = b'--XX\r\nContent-Disposition: form-data; name="heads"\r\n\r\ncolour@1\r\n'
END = b"--XX--\r\n"

SAMPLES = [WHOLE + FIELD + END, FIELD + WHOLE + END, FIELD * 3 + END, WHOLE * 2 + END]

PATHS = ("/v1/predict", "/v1/embed", "/v1/search", "/v1/datasets/fuzzed/images")


@pytest.fixture(scope="module")
def fuzzed(taught_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Http]:
    """The application on a home of its own: some of what is sent is a sound ingest."""
    home = shutil.copytree(taught_home, tmp_path_factory.mktemp("fuzzed") / "home")
    with opened(settings_of(Path(home))) as http:
        yield http


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A form with some bytes set, cut, inserted or copied."""
    data = bytearray(draw(st.sampled_from(SAMPLES)))
    for _ in range(draw(st.integers(1, 5))):
        at = draw(st.integers(0, len(data) - 1))
        match draw(st.sampled_from(["set", "cut", "insert", "copy"])):
            case "set":
                data[at] = draw(st.integers(0, 255))
            case "cut":
                del data[at : at + draw(st.integers(1, 60))]
                data = data or bytearray(b"x")
            case "insert":
                data[at:at] = draw(st.sampled_from([b"\r\n", b"--XX", b"\0", b'"', FILE, END]))
            case "copy":
                start = draw(st.integers(0, len(data) - 1))
                data[at:at] = data[start : start + 80]
    return bytes(data)


@settings(max_examples=100)
@given(path=st.sampled_from(PATHS), body=damaged() | st.binary(max_size=300))
@example(path="/v1/predict", body=b"")
@example(path="/v1/predict", body=b"--XX\r\n" * 1_000 + END)
@example(path="/v1/datasets/fuzzed/images", body=FILE.replace(b"a.png", b"../../a.png") + END)
def test_any_form_is_answered_or_refused(fuzzed: Http, path: str, body: bytes) -> None:
    answer = fuzzed.post(path, content=body, headers=KIND)

    assert answer.status_code < 500, answer.text
    if answer.status_code >= 400:
        assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "kind",
    [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=Y" * 9,
    ],
)
def test_a_form_without_its_boundary_is_refused(fuzzed: Http, kind: str) -> None:
    answer = fuzzed.post("/v1/predict", content=SAMPLES[0], headers={"content-type": kind})

    assert 400 <= answer.status_code < 500


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("length", [0, SHORT_BYTES])
def test_a_form_in_a_character_set_that_takes_hours_is_refused_at_once(
    fuzzed: Http, path: str, length: int
) -> None:
    part = b'--B\r\nContent-Disposition: form-data; name="labels"\r\n\r\n-' + b"a" * 300_000
    picture = b'\r\n--B\r\nContent-Disposition: form-data; name="images"; filename="a"\r\n\r\n'
    body = part + picture + b"x" * length + b"\r\n--B--\r\n"
    kind = {"content-type": "multipart/form-data; boundary=B; charset=punycode"}
    begun = time.monotonic()
    said = refused(fuzzed.post(path, content=body, headers=kind), 422, "invalid_request")
    assert time.monotonic() - begun < 1
    assert "punycode" in said["detail"]
    assert "UTF-8" in said["hint"]


def test_of_very_many_problems_some_are_named_and_the_others_counted(fuzzed: Http) -> None:
    body = {f"unknown-{number}": 1 for number in range(5_000)}
    answer = fuzzed.post("/v1/search", json=body)
    assert len(refused(answer, 422, "invalid_request")["problems"]) == 100
    assert "and 4900 more" in answer.json()["detail"]
    assert len(answer.content) < 50_000


def test_a_refusal_begins_with_the_field_and_what_is_wrong_with_it(fuzzed: Http) -> None:
    answer = fuzzed.post("/v1/heads", json={"name": "a b", "dataset": "d"})
    detail = refused(answer, 422, "invalid_request")["detail"]
    assert detail.startswith("body.name: 'a b' cannot be the name of a head.")


def read(body: bytes, headers: dict[str, str]) -> list[tuple[str | None, bytes, bool]]:
    """The files of a form that comes in two pieces: name, bytes, whether they are in memory."""
    middle = len(body) // 2
    pieces: list[Any] = [
        {"type": "http.request", "body": body[:middle], "more_body": True},
        {"type": "http.request", "body": body[middle:], "more_body": False},
    ]
    raw = [(name.encode(), text.encode()) for name, text in (KIND | headers).items()]
    scope = {"type": "http", "method": "POST", "headers": raw, "query_string": b""}

    async def receive() -> Any:
        return pieces.pop(0)

    async def found() -> list[tuple[str | None, bytes, bool]]:
        async with read_form(Request(scope, receive), max_files=3) as form:
            files = form.files("images")
            return [(f.filename, f.file.read(), isinstance(f.file, BytesIO)) for f in files]

    return asyncio.run(found())


def test_a_short_form_stays_in_memory_and_a_long_one_may_go_to_the_disk() -> None:
    body = WHOLE * 2 + FIELD + END
    files = [("a.png", picture("red", 1))] * 2

    def with_length(size: int) -> list[tuple[str | None, bytes, bool]]:
        return read(body, {"content-length": str(size)})

    assert with_length(len(body)) == [(*file, True) for file in files]
    assert with_length(SHORT_BYTES + 1) == [(*file, False) for file in files]


@pytest.mark.parametrize(
    "headers",
    [{}, {"content-length": "-1"}, {"content-length": "9", "transfer-encoding": "chunked"}],
)
def test_a_form_of_unknown_length_may_go_to_the_disk(headers: dict[str, str]) -> None:
    assert read(WHOLE + END, headers) == [("a.png", picture("red", 1), False)]
