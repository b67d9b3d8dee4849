"""Resizes a box of a picture as Pillow does; the common kinds in a quarter of its time.

Knows neither files nor backbones. Every level is Pillow's to the last bit, whoever computes it.
"""

import logging
from collections.abc import Callable
from functools import cache
from itertools import count
from threading import Event

import numpy as np
import numpy.typing as npt
from PIL import Image

from features.keys import UInt8

Box = tuple[float, float, float, float]
"""Left, top, right and bottom, within the picture."""

Loop = Callable[[npt.NDArray[np.uint32] | UInt8, npt.NDArray[np.float32], UInt8], None]

_BANDS = {"RGB": 3, "L": 1}
"""Modes that the loop knows."""

FEW = 1_000
"""Pictures after which the loop is worth the second that numba takes to load for it, where nobody
has loaded it before."""

_seen, _loaded = count(), Event()

_log = logging.getLogger(__name__)


def resize(image: Image.Image, size: tuple[int, int], resample: int, box: Box) -> UInt8:
    """Return a box of the picture in a new size: uint8 (height, width, 3), RGB.

    Args:
        image: RGB, L, or F from 0 to 255.
        size: width and height.
        resample: one of `Image.Resampling`.
        box: what to take of the picture.
    """
    known = resample == Image.Resampling.BICUBIC and image.mode in _BANDS
    if known and (_loaded.is_set() or next(_seen) >= FEW) and (loop := load()) is not None:
        found = _by_loop(loop, image, size, box)
        if found is not None:
            return found
    small = image.resize(size, resample, box)
    if small.mode == "F":
        # Pillow cuts the fraction off, which darkens by half a level; round instead.
        small = Image.fromarray(np.asarray(small).round().clip(0, 255).astype(np.uint8))
    return np.asarray(small.convert("RGB"))


@cache
def load() -> Loop | None:
    """Load the loop; None if it cannot be had, or is not like Pillow, which is asked until then."""
    try:
        from features.kernels.resize import resize as loop

        if not _is_like_pillow(loop):
            _log.warning("this Pillow resizes otherwise: images take a little longer")
            return None
    except Exception:  # noqa: BLE001  a compiler raises anything; no image must be blamed for it
        _log.exception("the loop cannot be loaded: images take a little longer")
        return None
    _loaded.set()
    return loop


def _is_like_pillow(loop: Loop) -> bool:
    """Compare some pictures.

    Which direction Pillow takes first has changed between its versions, and one level in a hundred
    depends on it.
    """
    noise = np.random.default_rng(0).integers(0, 256, (90, 60, 3), dtype=np.uint8)
    tall = Image.fromarray(noise)
    pictures = (tall, tall.crop((0, 0, 60, 65)), tall.transpose(Image.Transpose.ROTATE_90))
    for picture in (*pictures, tall.convert("L")):
        box = (3.0, 4.5, 51.0, 52.5)
        theirs = picture.resize((40, 40), Image.Resampling.BICUBIC, box).convert("RGB")
        ours = _by_loop(loop, picture, (40, 40), box)
        if ours is None or not np.array_equal(ours, np.asarray(theirs)):
            return False
    return True


def _by_loop(loop: Loop, image: Image.Image, size: tuple[int, int], box: Box) -> UInt8 | None:
    """None if the picture is too large to be seen in one piece, or the box is not within it."""
    from features.arrow import pixels_of  # late: it loads Arrow

    left, top, right, bottom = box
    # The loop does not look where it reads.
    if not (0 <= left < right <= image.width and 0 <= top < bottom <= image.height):
        return None
    pixels = pixels_of(image)
    if pixels is None:
        return None
    bands, (width, height) = _BANDS[image.mode], size
    # Pillow goes along the columns first where that leaves it much less to do.
    lost = image.height - height
    if lost > max(0, 2 * (image.width - width)):
        turned = np.empty((width, height, bands), np.uint8)
        loop(pixels.T, np.array((top, left, bottom, right), np.float32), turned)
        found = turned.swapaxes(0, 1)
    else:
        found = np.empty((height, width, bands), np.uint8)
        loop(pixels, np.array(box, np.float32), found)
    return found if bands > 1 else np.broadcast_to(found, (height, width, 3))
