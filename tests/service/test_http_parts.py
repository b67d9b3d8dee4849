"""A form that is read into memory is the same form as one that the framework reads."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from starlette.datastructures import FormData, Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from service.http.parts import MAX_TEXT_BYTES, read_parts

KIND = "multipart/form-data; boundary=XX"
FILES, FIELDS = 2, 3

FILE = b'--XX\r\nContent-Disposition: form-data; name="images"; filename="a.png"\r\n\r\n'
TEXT = b'--XX\r\nContent-Disposition: form-data; name="heads"\r\nX-More: yes\r\n\r\ncolour@1\r\n'
END = b"--XX--\r\n"

PIECES = st.sampled_from(
    [
        FILE,
        TEXT,
        END,
        b"\r\n",
        b"--XX",
        b"-",
        b"\xff\x00",
        b'--XX\r\ncontent-disposition: form-data; filename="b"; name=images\r\n\r\n',
        b"--XX\r\nContent-Disposition: form-data; name=\xe4; filename*=x\r\n\r\n",
        b"--XX\r\nContent-Type: text/plain\r\n\r\n",
        b"data",
    ]
)

BODIES = st.lists(PIECES | st.binary(max_size=4), max_size=12).map(b"".join)


async def pieces(body: bytes, size: int) -> AsyncIterator[bytes]:
    """A body as it may arrive, with the empty piece that comes last."""
    for start in range(0, len(body), size):
        yield body[start : start + size]
    yield b""


def ours(body: bytes, size: int, kind: str = KIND) -> FormData:
    return asyncio.run(read_parts(kind, pieces(body, size), max_files=FILES, max_fields=FIELDS))


def theirs(body: bytes, size: int, kind: str = KIND) -> FormData:
    stream: Any = pieces(body, size)
    headers = Headers({"content-type": kind})
    return asyncio.run(MultiPartParser(headers, stream, max_files=FILES, max_fields=FIELDS).parse())


def shown(read: Any, *given: Any) -> Any:
    """What was read, or that it was refused."""
    try:
        form = read(*given)
    except MultiPartException:
        return "refused"
    return [
        (name, (p.filename, p.file.read(), p.size) if isinstance(p, UploadFile) else p)
        for name, p in form.multi_items()
    ]


@settings(max_examples=300)
@given(body=BODIES, size=st.integers(1, 200))
@example(body=TEXT + FILE + b"\r\n--X\r\n" + END, size=7)
@example(body=FILE + b"cut short", size=10)
@example(body=(FILE + b"\r\n") * (FILES + 1) + END, size=1_000)
@example(body=TEXT * (FIELDS + 1) + END, size=1_000)
def test_any_body_is_read_or_refused_as_the_framework_does(body: bytes, size: int) -> None:
    assert shown(ours, body, size) == shown(theirs, body, size)


@pytest.mark.parametrize(
    "kind",
    [
        "multipart/form-data",
        "multipart/form-data; boundary=YY",
        'multipart/form-data; boundary="XX"; charset=latin-1',
        'multipart/form-data; boundary="XX"; charset=UTF-8',
    ],
)
def test_so_is_any_boundary_and_each_charset_that_is_read(kind: str) -> None:
    body = TEXT.replace(b"colour", "grün".encode()) + FILE + b"\r\n" + END
    assert shown(ours, body, 50, kind) == shown(theirs, body, 50, kind)


@pytest.mark.parametrize("charset", ["no-such", "punycode", "idna", "zlib", "unicode_escape"])
def test_other_charsets_are_refused_before_a_text_is_decoded(charset: str) -> None:
    kind = f"multipart/form-data; boundary=XX; charset={charset}"
    assert shown(ours, TEXT + END, 50, kind) == "refused"


def test_a_text_that_is_too_long_is_refused_and_a_file_is_not() -> None:
    long = b"x" * (MAX_TEXT_BYTES + 1)
    text = TEXT.replace(b"colour@1", long) + END
    assert shown(ours, text, 2**16) == shown(theirs, text, 2**16) == "refused"
    ((_, (_, data, size)),) = shown(ours, FILE + long + b"\r\n" + END, 2**16)
    assert (data, size) == (long, len(long))
