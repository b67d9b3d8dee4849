"""What is refused by a file's structure, before a pixel is decoded. Knows no backbone.

A few bytes can ask for hours or gigabytes: a scan is a pass over the whole of a JPEG, a tile of a
TIFF is unpacked whole, a table of strips becomes a list of objects, and run lengths of BMP are read
in Python. Pillow's own guard stays on behind this: TIFF and WebP never have more than 178
megapixels.
"""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from PIL.BmpImagePlugin import BmpImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.TiffImagePlugin import TILELENGTH, TILEWIDTH, TiffImageFile

from features.errors import ImageRejected

SEND_AGAIN = "Check that it opens in an image viewer, and send the original file again."
SMALLER = "Cut it into tiles, or send it smaller."

SCANS_PER_LIMIT = 16
"""How often a JPEG may pass over the largest allowed image; real ones need about 10."""

RUN_LENGTH_MEGAPIXELS = 2.0
"""Of a run-length encoded BMP; a second of Python, and more than any such file of old has."""

MOST_ENTRIES = 100_000
"""Of one table in a TIFF: there is a strip for each row at most, and tiles are larger than rows."""

_RUN_LENGTHS = (1, 2)
_TEXTS = (1, 2, 6, 7)
"""Types of bytes and texts in a TIFF: profiles and comments, which stay as they are."""

_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
"""In a JPEG: what is neither a stuffed zero nor a restart within a scan."""

_SCAN, _END, _ALONE = 0xDA, 0xD9, (0x01, 0xD8)


@dataclass(frozen=True, slots=True)
class Limits:
    """How large a picture may be."""

    max_bytes: int = 32 * 2**20
    max_megapixels: float = 100.0
    max_side: int = 32_000


USUAL = Limits()
"""What a service takes unless it is told otherwise."""


def check_bytes(data: bytes, limits: Limits) -> None:
    """Refuse a file that is empty or too long, or whose tables alone take long to read.

    Raises:
        ImageRejected: with the reason.
    """
    if not data:
        raise ImageRejected("empty_image", "the file is empty", hint=SEND_AGAIN)
    if len(data) > limits.max_bytes:
        raise ImageRejected(
            "image_too_large",
            f"{len(data):,} bytes, at most {limits.max_bytes:,} are accepted",
            hint="Send it smaller: a side of 1,024 pixels is more than any backbone looks at.",
        )
    longest = max(_table_lengths(data), default=0)
    if longest > MOST_ENTRIES:
        detail = f"a table of {longest:,} entries, at most {MOST_ENTRIES:,} are accepted"
        raise ImageRejected("too_many_pixels", detail, hint="Save it with larger strips or tiles.")


def check_pixels(source: ImageFile, data: bytes, limits: Limits) -> None:
    """Refuse a picture that would take too long or too much memory to decode; raises likewise."""
    _check_size(*source.size, limits)
    millions = source.size[0] * source.size[1] / 1e6
    if isinstance(source, JpegImageFile):
        most = SCANS_PER_LIMIT * limits.max_megapixels / max(millions, 1e-6)
        # Whatever looks like a scan is counted first: that is quick, and seldom too many.
        if data.count(bytes((0xFF, _SCAN))) > most and (scans := _scans(data)) > most:
            detail = f"{scans:,} scans of {millions:,.1f} megapixels each"
            raise ImageRejected("too_many_pixels", detail, hint="Save it as an ordinary JPEG.")
    elif isinstance(source, TiffImageFile):
        _check_size(source.tag_v2.get(TILEWIDTH, 0), source.tag_v2.get(TILELENGTH, 0), limits)
    elif isinstance(source, BmpImageFile):
        is_packed = source.info.get("compression") in _RUN_LENGTHS
        if is_packed and millions > RUN_LENGTH_MEGAPIXELS:
            detail = f"{millions:,.1f} megapixels in run lengths, at most 2 are accepted"
            raise ImageRejected("too_many_pixels", detail, hint="Save it as PNG.")


def _check_size(width: int, height: int, limits: Limits) -> None:
    if max(width, height) > limits.max_side:
        detail = f"{width:,} x {height:,} pixels, at most {limits.max_side:,} a side are accepted"
        raise ImageRejected("side_too_long", detail, hint=SMALLER)
    millions = width * height / 1e6
    if millions > limits.max_megapixels:
        detail = f"{millions:,.1f} megapixels, at most {limits.max_megapixels:g} are accepted"
        raise ImageRejected("too_many_pixels", detail, hint=SMALLER)


def _scans(data: bytes) -> int:
    """How many scans a decoder finds: others lie behind the picture, or in what it skips."""
    scans, place = 0, 2
    while found := _MARKER.search(data, place):
        marker, place = data[found.end() - 1], found.end()
        if marker == _END:
            break
        scans += marker == _SCAN
        if marker not in _ALONE:
            place += int.from_bytes(data[place : place + 2], "big")
    return scans


def _table_lengths(data: bytes) -> Iterator[int]:
    """How many entries the tables of a TIFF's first picture have, texts and profiles left out."""
    order = {b"II": "<", b"MM": ">"}.get(data[:2])
    if order is None or data[2:4] not in (b"*\0", b"\0*", b"+\0", b"\0+"):
        return
    is_big = b"+" in data[2:4]
    offset, counter, entry = ("Q", "Q", "HHQ8x") if is_big else ("I", "H", "HHI4x")
    try:
        (place,) = struct.unpack_from(order + offset, data, 8 if is_big else 4)
        (count,) = struct.unpack_from(order + counter, data, place)
        place += struct.calcsize(order + counter)
        size = struct.calcsize(order + entry)
        count = min(count, 2**16, max(0, len(data) - place) // size)
        for _, kind, length in struct.iter_unpack(
            order + entry, data[place : place + count * size]
        ):
            if kind not in _TEXTS:
                yield length
    except (struct.error, OverflowError):
        return  # cut short: whoever decodes it says so
