"""Pictures of every kind, as files; and what it looks like when one is refused."""

from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import Image

from features.errors import ImageRejected
from features.images import DECODE_RULE, decode
from features.keys import Preprocessing
from features.limits import Limits

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


def ramp(low: float, high: float, dtype: str) -> Image.Image:
    row = np.linspace(low, high, 256).astype(dtype)
    return Image.fromarray(np.tile(row, (256, 1)))
