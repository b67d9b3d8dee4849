"""Thumbnails: the whole picture, upright, small, and nothing else of the file."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image
from scenes import encode, ramp, scene

from features.errors import ImageRejected
from features.images import thumbnail
from features.keys import UInt8


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
