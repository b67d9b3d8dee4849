"""Decoding: what comes out of every kind of image."""

import struct
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scenes import FORMATS, RULES, encode, look, ramp, rejected, scene

from features.errors import ImageRejected
from features.images import decode, thumbnail, upright_size

GOLDEN = Path(__file__).parent / "golden"


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
