"""Reads a form whose files are small enough to stay in memory. Knows no field's name.

Starlette's own reader makes a temporary file of every file and may wait at each piece of it: that
takes longer than to look a known image up. This one keeps pieces as they arrive. The grammar is the
same, for the same parser finds the parts.
"""

from collections.abc import AsyncIterator
from io import BytesIO

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException

MAX_TEXT_BYTES = 2**20
"""Longest text of one field."""

CHARSETS = ("utf-8", "utf8", "us-ascii", "ascii", "iso-8859-1", "latin-1")
"""Python knows a hundred more: some take hours for a megabyte, or make no text of it."""


async def read_parts(
    content_type: str, body: AsyncIterator[bytes], *, max_files: int, max_fields: int
) -> FormData:
    """The parts of a form, in order.

    Args:
        content_type: the header; it says how parts are told apart.
        body: as it arrives; somebody else limits its length.
        max_files: how many files there may be.
        max_fields: how many texts there may be.

    Raises:
        MultiPartException: it is no form, or there are too many parts.
    """
    _, options = parse_options_header(content_type)
    if b"boundary" not in options:
        raise MultiPartException("Missing boundary in multipart.")
    parts = _Parts(check_charset(content_type), max_files, max_fields)
    try:
        parser = MultipartParser(
            options[b"boundary"],
            {
                "on_part_begin": parts.begin,
                "on_header_field": parts.name_header,
                "on_header_value": parts.fill_header,
                "on_header_end": parts.end_header,
                "on_headers_finished": parts.describe,
                "on_part_data": parts.fill,
                "on_part_end": parts.end,
            },
        )
        async for piece in body:
            parser.write(piece)
        parser.finalize()
    except FormParserError as error:
        raise MultiPartException("Invalid multipart data.") from error
    return FormData(parts.found)


def check_charset(content_type: str) -> str:
    """The character set that a form's texts are in.

    Raises:
        MultiPartException: it is none that is read.
    """
    _, options = parse_options_header(content_type)
    charset = options.get(b"charset", b"utf-8").decode("latin-1").strip().lower()
    if charset not in CHARSETS:
        raise MultiPartException(f"A form in the character set '{charset[:40]}' is not read.")
    return charset


class _Parts:
    """What the parser has found so far; the methods are what it calls, in their order."""

    def __init__(self, codec: str, max_files: int, max_fields: int) -> None:
        self.found: list[tuple[str, str | UploadFile]] = []
        self._codec = codec
        self._left = {True: max_files, False: max_fields}
        self._header = self._value = b""

    def begin(self) -> None:
        self._disposition = b""
        self._pieces: list[bytes] = []
        self._size = 0

    def name_header(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def fill_header(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def end_header(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = self._value
        self._header = self._value = b""

    def describe(self) -> None:
        _, options = parse_options_header(self._disposition)
        if b"name" not in options:
            raise MultiPartException(
                'The Content-Disposition header field "name" must be provided.'
            )
        self._name = self._text(options[b"name"])
        self._filename = self._text(options[b"filename"]) if b"filename" in options else None
        is_file = self._filename is not None
        self._left[is_file] -= 1
        if self._left[is_file] < 0:
            raise MultiPartException(f"Too many {'files' if is_file else 'fields'}.")

    def fill(self, data: bytes, start: int, end: int) -> None:
        self._size += end - start
        if self._filename is None and self._size > MAX_TEXT_BYTES:
            raise MultiPartException(f"A field is longer than {MAX_TEXT_BYTES} bytes.")
        self._pieces.append(data[start:end])

    def end(self) -> None:
        whole = b"".join(self._pieces)
        if self._filename is None:
            self.found.append((self._name, self._text(whole)))
        else:
            file = UploadFile(BytesIO(whole), size=self._size, filename=self._filename)
            self.found.append((self._name, file))

    def _text(self, raw: bytes) -> str:
        try:
            return raw.decode(self._codec)
        except UnicodeDecodeError:
            return raw.decode("latin-1")
