"""Decoding: what comes out of every kind of image, and what is said of files that are none."""

import struct
import time
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile

from features.errors import ImageRejected
from features.images import DECODE_RULE, Limits, decode, thumbnail, upright_size
from features.keys import Preprocessing, UInt8

GOLDEN = Path(__file__).parent / "golden"
CODES = {
    "empty_image",
    "image_too_large",
    "not_an_image",
    "unsupported_format",
    "too_many_pixels",
    "side_too_long",
    "truncated_image",
    "damaged_image",
}
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF")
RULES = Preprocessing(
    decode=DECODE_RULE,
    size=32,
    crop=1.0,
    interpolation="bicubic",
    mean=(0.5, 0.5, 0.5),
    std=(0.5, 0.5, 0.5),
)


def scene(width: int = 96, height: int = 64) -> Image.Image:
    """A smooth picture whose four corners have colours of their own."""
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    return Image.fromarray(np.stack([255 * x, 255 * y, 255 * (1 - x) * (1 - y)], 2).astype("uint8"))


def encode(image: Image.Image, kind: str, **options: Any) -> bytes:
    out = BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def look(
    image: Image.Image, kind: str = "PNG", rules: Preprocessing = RULES, **options: Any
) -> Any:
    return decode(encode(image, kind, **options), rules).astype(int)


LIMITS = Limits()


def rejected(data: bytes, limits: Limits = LIMITS) -> ImageRejected:
    with pytest.raises(ImageRejected) as caught:
        decode(data, RULES, limits, "a.jpg")
    assert caught.value.code in CODES
    assert caught.value.filename == "a.jpg"
    assert caught.value.detail
    assert caught.value.hint
    assert str(caught.value) == f"a.jpg: {caught.value.detail}"
    return caught.value


# What comes out


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_shows_the_same_picture(kind: str) -> None:
    options: dict[str, Any] = {"quality": 95} if kind in {"JPEG", "WEBP"} else {}
    found = look(scene(), kind, **options)

    assert found.shape == (32, 32, 3)
    # A palette of 256 colours and lossy coding cost some levels.
    assert np.abs(found - look(scene())).mean() < 4


def test_pixels_are_uint8_and_contiguous() -> None:
    pixels = decode(encode(scene(), "JPEG"), RULES)

    assert pixels.dtype == np.uint8
    assert pixels.flags.c_contiguous


@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear", "lanczos"])
def test_the_centre_square_is_resized_once(interpolation: str) -> None:
    """Against the plain way to say it: cut the square out, then resize it."""
    filters = {"bicubic": 3, "bilinear": 2, "lanczos": 1}
    rules = replace(RULES, crop=0.75, interpolation=interpolation)
    square = scene(96, 64).crop((24, 8, 72, 56))
    expected = np.asarray(square.resize((32, 32), Image.Resampling(filters[interpolation])))

    found = look(scene(96, 64), rules=rules)

    # Inside, where the square's edge is out of reach of the filter, they agree exactly.
    np.testing.assert_array_equal(expected[4:-4, 4:-4], found[4:-4, 4:-4])


@pytest.mark.parametrize("size", [(301, 200), (200, 301), (64, 64), (20, 11), (1, 500), (500, 1)])
def test_any_shape_gives_one_square(size: tuple[int, int]) -> None:
    assert look(scene(*size)).shape == (32, 32, 3)


@pytest.mark.parametrize("length", [96, 512, 700, 1023, 1024, 1500])
def test_reduced_jpeg_decoding_stays_close_to_full_decoding(length: int) -> None:
    """The rule may decode JPEG at 1/2 to 1/8; geometry must not shift by that."""
    rules = replace(RULES, size=112, crop=0.875)
    data = encode(scene(length, length), "JPEG", quality=95)
    with Image.open(BytesIO(data)) as image:
        full = encode(image, "PNG")

    difference = np.abs(decode(data, rules).astype(int) - decode(full, rules))

    assert difference.mean() < 1.0
    assert difference.max() <= 6


def test_large_jpeg_is_not_decoded_in_full() -> None:
    data = encode(scene(4096, 4096), "JPEG")
    rules = replace(RULES, size=224, crop=0.875)

    def seconds(work: Callable[[], object]) -> float:
        start = time.thread_time()
        work()
        return time.thread_time() - start

    ours = min(seconds(lambda: decode(data, rules)) for _ in range(3))
    full = min(seconds(lambda: Image.open(BytesIO(data)).convert("RGB")) for _ in range(3))

    assert ours < full / 1.5


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    turns: dict[int, Callable[[Any], Any]] = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.transpose(1, 0, 2),
        6: lambda a: a[::-1].transpose(1, 0, 2),
        7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
        8: lambda a: a.transpose(1, 0, 2)[::-1],
    }
    turn = turns[orientation]
    options: dict[str, Any] = {"lossless": True} if kind == "WEBP" else {}

    turned = look(scene(), kind, exif=exif, **options)

    # One level, because the filter's two passes round in the other order.
    assert np.abs(turn(look(scene(), kind, **options)) - turned).max() <= 1


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_upright_size_is_that_of_the_picture_as_it_is_seen(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(scene(40, 20), kind, exif=exif)

    seen = Image.open(BytesIO(thumbnail(data, 40)))

    assert upright_size(data) == seen.size
    assert (seen.width > seen.height) == (orientation < 5)


def test_the_upright_size_of_what_is_no_picture_is_refused() -> None:
    with pytest.raises(ImageRejected) as caught:
        upright_size(b"no image")

    assert caught.value.code == "not_an_image"


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_damaged_exif_data_leaves_the_picture_as_it_is() -> None:
    words = b"\x01\0" + struct.pack("<HHI4s", 0x0112, 2, 3, b"up\0\0") + bytes(4)
    for rest in (b"garbage", b"\xff\xff\xff\xff", b"\x08\0\0\0\x09", b"\x08\0\0\0" + words):
        damaged = look(scene(), "JPEG", exif=b"Exif\0\0II*\0" + rest)
        np.testing.assert_array_equal(look(scene(), "JPEG"), damaged)


@pytest.mark.parametrize("mode", ["L", "1", "P", "RGBA", "LA", "CMYK"])
def test_every_colour_mode_becomes_rgb(mode: str) -> None:
    kind = "TIFF" if mode == "CMYK" else "PNG"
    image = scene().convert(mode)

    found = look(image, kind)

    expected = look(image.convert("L").convert("RGB") if mode == "1" else image.convert("RGB"))
    assert np.abs(found - expected).max() <= 1


def test_an_adobe_cmyk_jpeg_is_not_inverted() -> None:
    assert np.abs(look(scene().convert("CMYK"), "JPEG", quality=95) - look(scene())).mean() < 3


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_shows_white(mode: str) -> None:
    image = scene().convert("L").convert(mode)
    image.putalpha(0)

    assert look(image).min() == 255


def test_half_transparent_black_is_grey() -> None:
    image = Image.new("RGBA", (40, 40), (0, 0, 0, 128))

    assert set(look(image).ravel()) == {127}


@pytest.mark.parametrize("mode", ["P", "L", "RGB"])
def test_a_transparent_colour_of_a_png_shows_white(mode: str) -> None:
    image = Image.new("RGB", (40, 40), (10, 10, 10))
    image = image.quantize(2) if mode == "P" else image.convert(mode)
    colour = image.getpixel((0, 0))

    assert look(image).max() == 10
    assert look(image, transparency=colour).min() == 255


def test_alpha_that_hides_nothing_changes_nothing() -> None:
    np.testing.assert_array_equal(look(scene()), look(scene().convert("RGBA")))


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "TIFF", "PNG"])
def test_the_first_frame_counts(kind: str) -> None:
    frames = [Image.new("RGB", (40, 40), colour) for colour in ("red", "blue", "blue")]
    options: dict[str, Any] = {"save_all": True, "append_images": frames[1:]}
    if kind == "WEBP":
        options["lossless"] = True

    assert look(frames[0], kind, **options)[16, 16].tolist() == [255, 0, 0]


def ramp(low: float, high: float, dtype: str) -> Image.Image:
    row = np.linspace(low, high, 256).astype(dtype)
    return Image.fromarray(np.tile(row, (256, 1)))


DEEP = [
    ("PNG", 0, 4095, "uint16"),
    ("PNG", 30_000, 30_255, "uint16"),
    ("PNG", 0, 65_535, "uint16"),
    ("TIFF", 100, 900, "uint16"),
    ("TIFF", -1000, 3000, "int32"),
    ("TIFF", 2**31 - 256 * 1000, 2**31 - 1, "int32"),
    ("TIFF", -0.5, 0.25, "float32"),
    ("TIFF", -3e38, 3e38, "float32"),
    ("TIFF", 0, 1e-40, "float32"),
]


@pytest.mark.parametrize(("kind", "low", "high", "dtype"), DEEP)
def test_deep_greyscale_is_spread_over_its_own_range(
    kind: str, low: float, high: float, dtype: str
) -> None:
    """Pillow would clip a 12-bit X-ray to white."""
    expected = look(ramp(0, 255, "uint8"))

    assert np.abs(look(ramp(low, high, dtype), kind) - expected).max() <= 2


def test_deep_greyscale_is_rounded_and_not_cut_off() -> None:
    grey = np.asarray(scene().convert("L")).copy()
    grey[0, :2] = 0, 255

    difference = look(Image.fromarray(grey * np.uint16(257))) - look(Image.fromarray(grey))

    assert np.abs(difference).max() <= 1
    assert abs(difference.mean()) < 0.1


def test_deep_greyscale_does_not_wrap_around_where_the_filter_overshoots() -> None:
    edges = np.kron(np.random.default_rng(0).integers(0, 2, (8, 8)), np.ones((9, 9)))

    deep = look(Image.fromarray((edges * 65_535).astype("uint16")))

    # Eight bits are cut off between the filter's two passes as well, hence the room.
    assert np.abs(deep - look(Image.fromarray((edges * 255).astype("uint8")))).max() < 64


def test_big_endian_deep_greyscale_is_read_right() -> None:
    grey = np.asarray(ramp(0, 60_000, "uint16")).astype(">u2")
    data = encode(Image.frombytes("I;16B", (256, 256), grey.tobytes()), "TIFF")

    assert data.startswith(b"MM")
    assert np.abs(decode(data, RULES).astype(int) - look(ramp(0, 255, "uint8"))).max() <= 2


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_a_tiff_whose_white_is_zero_is_not_a_negative(dtype: str) -> None:
    image = ramp(0, np.iinfo(dtype).max, dtype)
    marked = encode(image, "TIFF", tiffinfo={262: 0})
    assert Image.open(BytesIO(marked)).tag_v2[262] == 0  # type: ignore[attr-defined]
    inverted = look(ramp(255, 0, "uint8"))
    expected = look(ramp(0, 255, "uint8")) if dtype == "uint8" else inverted  # Pillow inverts "L"

    assert np.abs(decode(marked, RULES).astype(int) - expected).max() <= 2


def test_pixels_that_are_no_numbers_are_black_or_white() -> None:
    grey = np.asarray(ramp(0, 1, "float32")).copy()
    grey[:64], grey[64:128], grey[192:] = np.nan, np.inf, -np.inf

    found = look(Image.fromarray(grey), "TIFF")

    assert found[2].max() == 0
    assert found[12].min() == 255
    assert found[20, 0, 0] < found[20, -1, 0]
    assert found[30].max() == 0


def test_a_picture_of_no_numbers_is_refused() -> None:
    data = encode(Image.fromarray(np.full((9, 9), np.nan, "float32")), "TIFF")

    assert rejected(data).code == "damaged_image"


def test_an_even_deep_grey_is_black() -> None:
    assert look(Image.fromarray(np.full((40, 40), 777, "uint16"))).max() == 0


def golden_images() -> list[bytes]:
    deep = Image.fromarray((np.outer(np.arange(60), np.arange(90)) * 11 + 300).astype("uint16"))
    alpha = scene(90, 61)
    alpha.putalpha(Image.linear_gradient("L").resize((90, 61)))
    return [(GOLDEN / "scene.jpg").read_bytes(), encode(deep, "PNG"), encode(alpha, "PNG")]


def test_decoding_is_what_it_has_always_been() -> None:
    """The rule's name is part of every space: other pixels need another name.

    Two levels are allowed, for other builds of the JPEG library.
    """
    expected = np.load(GOLDEN / "pixels.npy")
    rules = replace(RULES, crop=0.875)

    found = np.stack([decode(data, rules) for data in golden_images()])

    assert np.abs(expected.astype(int) - found).max() <= 2


@pytest.mark.parametrize("change", [{"decode": "pillow-draft-v2"}, {"interpolation": "nearest"}])
def test_rules_of_another_version_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="cannot decode by"):
        decode(encode(scene(), "PNG"), replace(RULES, **change))


def test_threads_decode_independently() -> None:
    kinds = [(kind, scene(50 + 10 * i, 90)) for i, kind in enumerate(FORMATS)] * 8
    files = [encode(image, kind) for kind, image in kinds]
    expected = [decode(data, RULES) for data in files]

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda data: decode(data, RULES), files))

    np.testing.assert_array_equal(expected, found)


# What is refused


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


def test_a_jpeg_of_endless_scans_is_refused() -> None:
    """Each scan of a progressive JPEG costs a pass over the picture and a few bytes of the file."""
    data = encode(scene(512, 512), "JPEG", progressive=True)
    scan = data.rindex(b"\xff\xda")
    endless = data[:scan] + data[scan:-2] * 8000 + data[-2:]
    start = time.thread_time()

    assert rejected(endless).code == "too_many_pixels"
    assert time.thread_time() - start < 0.5
    decode(data, RULES)


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


# Thumbnails


def shown(data: bytes) -> UInt8:
    with Image.open(BytesIO(data)) as image:
        assert image.format == "JPEG"
        return np.asarray(image)


@pytest.mark.parametrize(
    ("size", "expected"),
    [((300, 200), (43, 64)), ((200, 300), (64, 43)), ((40, 20), (20, 40)), ((3000, 2), (1, 64))],
)
def test_a_thumbnail_shows_the_whole_picture_and_never_enlarges(
    size: tuple[int, int], expected: tuple[int, int]
) -> None:
    pixels = shown(thumbnail(encode(scene(*size), "JPEG"), 64))

    assert pixels.shape == (*expected, 3)


def test_a_thumbnail_is_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6

    pixels = shown(thumbnail(encode(scene(300, 200), "JPEG", exif=exif), 64))

    assert pixels.shape == (64, 43, 3)
    # The top right corner of what the camera saw, red, is at the bottom right of what it means.
    assert pixels[-3, -3].argmax() == 0


def test_a_thumbnail_of_deep_greyscale_is_not_white() -> None:
    assert shown(thumbnail(encode(ramp(0, 4095, "uint16"), "PNG"), 64)).mean() < 140


def test_a_thumbnail_carries_no_metadata() -> None:
    exif = Image.Exif()
    exif[0x010E] = "patient name"
    data = encode(scene(), "JPEG", exif=exif, comment=b"patient name", icc_profile=b"x" * 200)
    assert data.count(b"patient name") == 2

    small = thumbnail(data, 64)

    assert b"patient name" not in small
    assert not {"exif", "comment", "icc_profile", "xmp"} & Image.open(BytesIO(small)).info.keys()


def test_a_thumbnail_of_no_image_is_refused() -> None:
    with pytest.raises(ImageRejected) as caught:
        thumbnail(b"words", 64)
    assert caught.value.code == "not_an_image"
