"""Decoding: what is said of files that are no images, are too much, or mean harm."""

import struct
import time
import zlib
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile
from scenes import FORMATS, RULES, encode, ramp, rejected, scene

from features.errors import ImageRejected
from features.images import decode, thumbnail
from features.limits import Limits


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "empty_image"),
        (b"\0", "not_an_image"),
        (b"just some words", "not_an_image"),
        (b"\xff\xd8\xff", "damaged_image"),
        (b"\x89PNG\r\n\x1a\n", "truncated_image"),
        (b"GIF89a", "truncated_image"),
        (b"BM", "truncated_image"),
        (b"II*\0", "truncated_image"),
        (b"II*\0\x08\0\0\0\0\0\0\0\0\0", "damaged_image"),
        (b"RIFF\xff\0\0\0WEBPVP8 ", "truncated_image"),
        (b"RIFF\x04\0\0\0WEBP", "damaged_image"),
        (b"RIFF\x04\0\0\0WAVE", "not_an_image"),
        (b"%PDF-1.7", "unsupported_format"),
        (b"%!PS-Adobe-3.0 EPSF-3.0", "unsupported_format"),
        (b"\0" * 128 + b"DICM", "unsupported_format"),
        (b"\0\0\0\x1cftypheic", "unsupported_format"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "unsupported_format"),
        (b"PK\3\4", "unsupported_format"),
    ],
)
def test_files_that_are_no_images_are_refused_by_name(data: bytes, code: str) -> None:
    assert rejected(data).code == code


def test_the_hint_for_another_format_names_a_way_out() -> None:
    error = rejected(b"\0" * 128 + b"DICM")

    assert "DICOM" in error.detail
    assert "PNG" in error.hint


def test_a_picture_of_another_kind_is_not_called_damaged() -> None:
    data = bytearray(encode(Image.fromarray(np.zeros((4, 4), "float32")), "TIFF"))
    bits = data.index(struct.pack("<HHI", 258, 3, 1)) + 8
    data[bits : bits + 2] = struct.pack("<H", 64)

    assert rejected(bytes(data)).code == "unsupported_format"


def test_cielab_is_refused() -> None:
    assert rejected(encode(Image.new("LAB", (9, 9)), "TIFF")).code == "unsupported_format"


def test_a_file_of_too_many_bytes_is_refused() -> None:
    data = encode(scene(), "JPEG")

    assert rejected(data, Limits(max_bytes=len(data) - 1)).code == "image_too_large"
    decode(data, RULES, Limits(max_bytes=len(data)))


def test_pixels_and_sides_are_limited_to_the_last_one() -> None:
    data = encode(scene(100, 50), "PNG")

    decode(data, RULES, Limits(max_megapixels=0.005, max_side=100))
    assert rejected(data, Limits(max_megapixels=0.004_999)).code == "too_many_pixels"
    assert rejected(data, Limits(max_side=99)).code == "side_too_long"


def png(width: int, height: int, body: bytes = b"") -> bytes:
    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
    )


def bomb(kind: str, side: int) -> bytes:
    """A tiny file that claims to be `side` pixels wide and high."""
    if kind == "PNG":
        return png(side, side, zlib.compress(bytes(1000)))
    data = bytearray(encode(Image.new("RGB", (16, 16)), kind))
    if kind == "JPEG":
        at = data.index(b"\xff\xc0") + 5
        data[at : at + 4] = struct.pack(">HH", side, side)
    elif kind == "GIF":
        data[6:10] = struct.pack("<HH", side, side)
    elif kind == "BMP":
        data[18:26] = struct.pack("<ii", side, side)
    elif kind == "TIFF":
        for tag in (256, 257):
            at = data.index(struct.pack("<H", tag), struct.unpack_from("<I", data, 4)[0]) + 8
            data[at : at + 4] = struct.pack("<I", side)
    else:
        lossless = bytearray(encode(Image.new("RGB", (16, 16)), "WEBP", lossless=True))
        at = lossless.index(b"VP8L") + 9
        lossless[at : at + 4] = struct.pack("<I", (side - 1) | (side - 1) << 14)
        return bytes(lossless)
    return bytes(data)


@pytest.mark.parametrize("kind", FORMATS)
def test_bombs_are_refused_by_their_header_alone(kind: str) -> None:
    side = 16_000
    start = time.thread_time()

    error = rejected(bomb(kind, side))

    assert error.code == "too_many_pixels"
    assert "256.0 megapixels" in error.detail or "too much memory" in error.detail
    assert time.thread_time() - start < 0.5


def test_a_huge_side_is_refused() -> None:
    assert rejected(bomb("PNG", 2**31 - 1)).code == "side_too_long"
    assert rejected(bomb("TIFF", 2**31)).code in {"side_too_long", "damaged_image"}


def test_compressed_text_bombs_in_a_png_are_refused() -> None:
    text = b"k\0\0" + zlib.compress(bytes(100 * 2**20), 9)
    chunk = (
        struct.pack(">I", len(text))
        + b"zTXt"
        + text
        + struct.pack(">I", zlib.crc32(b"zTXt" + text))
    )
    data = encode(scene(), "PNG")

    assert rejected(data[:33] + chunk + data[33:]).code == "damaged_image"


def quickly_rejected(data: bytes) -> ImageRejected:
    """The refusal of a file that could cost much, which costs little itself."""
    start = time.thread_time()
    error = rejected(data)
    assert time.thread_time() - start < 0.5
    return error


def segment(marker: int, body: bytes) -> bytes:
    """A part of a JPEG."""
    return bytes((0xFF, marker)) + struct.pack(">H", 2 + len(body)) + body


def baseline(side: int, scans: int, before: bytes = b"") -> bytes:
    """A JPEG, not progressive, of as many more scans of some bytes each, `before` before each."""
    table = b"\0\0\1" + bytes(15)
    first, second, third = (
        before + segment(0xDA, bytes((1, colour, 0, 0, 63, 0))) + bytes(1) for colour in (1, 2, 3)
    )
    frame = struct.pack(">BHHB", 8, side, side, 3) + b"\1\x11\0\2\x11\0\3\x11\0"
    tables = segment(0xC4, table) + segment(0xC4, b"\x10" + table[1:])
    head = segment(0xDB, b"\0" + b"\1" * 64) + segment(0xC0, frame) + tables
    return b"\xff\xd8" + head + first + second + third + first * scans + b"\xff\xd9"


def test_a_jpeg_of_endless_scans_is_refused() -> None:
    """Each scan of a JPEG costs a pass over the picture and a few bytes of the file."""
    data = encode(scene(512, 512), "JPEG", progressive=True)
    scan = data.rindex(b"\xff\xda")
    endless = data[:scan] + data[scan:-2] * 8000 + data[-2:]

    assert "scans" in quickly_rejected(endless).detail
    decode(data, RULES)


@pytest.mark.parametrize("before", [b"", b"\xff" * 9, b"\0" * 9])
def test_a_jpeg_need_not_be_progressive_for_that(before: bytes) -> None:
    assert "scans" in quickly_rejected(baseline(8000, 100, before)).detail
    decode(baseline(500, 100), RULES)


@pytest.mark.parametrize("place", ["behind the picture", "in a comment"])
def test_what_looks_like_scans_elsewhere_is_none(place: str) -> None:
    """As in pictures that several others, or a film, come along with."""
    data, many = encode(scene(512, 512), "JPEG"), b"\xff\xda" * 30_000
    comment = b"\xff\xfe" + struct.pack(">H", 2 + len(many)) + many
    films = {"behind the picture": data + many, "in a comment": data[:2] + comment + data[2:]}

    assert np.array_equal(decode(films[place], RULES), decode(data, RULES))


def tiff(tags: dict[int, tuple[int, int, int]], rest: bytes = b"", *, big: bool = False) -> bytes:
    """A TIFF with these tags (type, count, value), and what follows them."""
    entries = [(tag, *said) for tag, said in sorted(tags.items())]
    if big:
        head = struct.pack("<2sHHHQQ", b"II", 43, 8, 0, 16, len(entries))
        return head + b"".join(struct.pack("<HHQQ", *one) for one in entries) + bytes(8) + rest
    head = struct.pack("<2sHIH", b"II", 42, 8, len(entries))
    return head + b"".join(struct.pack("<HHII", *one) for one in entries) + bytes(4) + rest


GREY = {256: (3, 1, 100), 257: (3, 1, 100), 258: (3, 1, 8), 259: (3, 1, 8), 262: (3, 1, 1)}


@pytest.mark.parametrize("side", [25_984, 40_000])
def test_a_tile_larger_than_any_picture_is_refused(side: int) -> None:
    tile = {322: (4, 1, side), 323: (4, 1, side), 324: (4, 1, 8), 325: (4, 1, 8)}

    error = quickly_rejected(tiff(GREY | tile))

    assert error.code in {"too_many_pixels", "side_too_long"}


@pytest.mark.parametrize("big", [False, True])
def test_a_table_of_millions_of_strips_is_refused_unread(big: bool) -> None:  # noqa: FBT001  a parameter
    many = 2_000_000
    strips = {273: (4, many, 200), 277: (3, 1, 1), 278: (3, 1, 1), 279: (4, many, 200)}
    data = tiff(GREY | {259: (3, 1, 1)} | strips, struct.pack("<I", 1) * many, big=big)

    assert "table" in quickly_rejected(data).detail


def test_a_tiff_with_a_long_profile_is_no_table() -> None:
    data = encode(scene(), "TIFF", icc_profile=bytes(300_000))

    assert np.array_equal(decode(data, RULES), decode(encode(scene(), "TIFF"), RULES))


def run_lengths(width: int, height: int) -> bytes:
    """A BMP of one run for each row."""
    rows = b"\1\0\0\0" * height + b"\0\1"
    about = (40, width, height, 1, 8, 1, len(rows), 0, 0, 256, 0)
    start = 14 + 40 + 1024
    head = struct.pack("<2sIHHI", b"BM", start + len(rows), 0, 0, start)
    return head + struct.pack("<IiiHHIIiiII", *about) + bytes(1024) + rows


def test_a_large_picture_of_run_lengths_is_refused_for_they_are_read_slowly() -> None:
    assert "run lengths" in quickly_rejected(run_lengths(4000, 3000)).detail
    decode(run_lengths(100, 100), RULES)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
@pytest.mark.parametrize("kind", [*FORMATS, "packed TIFF"])
@pytest.mark.parametrize("part", [0.3, 0.7, 0.95])
def test_a_file_cut_short_says_so(kind: str, part: float) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 60, 3), "uint8"))
    options = {"compression": "tiff_lzw"} if kind == "packed TIFF" else {}
    data = encode(noise, kind.removeprefix("packed "), **options)

    assert rejected(data[: int(len(data) * part)]).code == "truncated_image"


def test_compressed_pixels_that_are_garbage_are_damaged() -> None:
    assert rejected(png(16, 16, b"garbage" * 9)).code == "damaged_image"


def test_pillow_is_not_told_to_accept_truncated_files() -> None:
    assert ImageFile.LOAD_TRUNCATED_IMAGES is False


SEEDS = [encode(scene(24, 16), kind) for kind in FORMATS] + [
    encode(scene(24, 16), "JPEG", progressive=True, exif=b"Exif\0\0II*\0\x08\0\0\0\0\0"),
    encode(scene(24, 16).convert("RGBA"), "PNG", compress_level=0),
    encode(scene(24, 16).convert("P"), "PNG"),
    encode(ramp(0, 5000, "uint16").resize((9, 9)), "PNG"),
    encode(ramp(-1, 1, "float32").resize((9, 9)), "TIFF"),
    encode(scene(24, 16), "TIFF", compression="tiff_lzw"),
    encode(scene(24, 16), "TIFF", compression="tiff_deflate"),
    encode(scene(24, 16), "WEBP", lossless=True),
    encode(scene(24, 16).convert("CMYK"), "JPEG"),
]


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    data = bytearray(draw(st.sampled_from(SEEDS)))
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, len(data)))
        change = draw(st.sampled_from(["set", "insert", "delete", "cut"]))
        if change == "cut":
            del data[at:]
        elif change == "delete":
            del data[at : at + draw(st.integers(1, 40))]
        elif change == "insert":
            data[at:at] = draw(st.binary(max_size=20))
        else:
            new = draw(st.binary(min_size=1, max_size=4))
            data[at : at + len(new)] = new
    return bytes(data)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(mutated() | st.binary(max_size=300))
@example(b"\xff\xd8\xff\xe0\x00\x00")
def test_hostile_bytes_give_pixels_or_a_rejection_and_nothing_else(data: bytes) -> None:
    limits = Limits(max_megapixels=4)
    for work in (lambda: decode(data, RULES, limits), lambda: thumbnail(data, 16, limits)):
        with suppress(ImageRejected):
            work()
