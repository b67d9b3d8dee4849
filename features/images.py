"""Bytes to pixels: every limit, every refusal and every decoding rule. Knows nothing of backbones.

The rule `pillow-draft-v1`, in order: JPEG is decoded at the smallest of 1/1, 1/2, 1/4, 1/8 of its
size that still has what the resize needs; the first frame of an animation counts; transparency is
composited over white; CMYK becomes RGB; greyscale deeper than 8 bits is spread from its own
minimum and maximum over 0..255; the centre square of `crop` times the shorter side is resized
once, straight to `size`; EXIF orientation is applied; colour profiles are ignored. Whatever
changes a pixel needs a new rule name, because the name is part of every space id.
"""

import math
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO

import numpy as np
from PIL import ExifTags, Image
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import PHOTOMETRIC_INTERPRETATION, TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from features.errors import ImageRejected
from features.keys import Preprocessing, UInt8
from features.limits import SEND_AGAIN, SMALLER, USUAL, Limits, check_bytes, check_pixels
from features.resizing import resize

DECODE_RULE = "pillow-draft-v1"
"""The one rule this file implements, as `Preprocessing.decode` names it."""

INTERPOLATIONS = {
    "bicubic": Image.Resampling.BICUBIC,
    "bilinear": Image.Resampling.BILINEAR,
    "lanczos": Image.Resampling.LANCZOS,
}

_READERS: tuple[tuple[int, bytes, Callable[[BytesIO], ImageFile]], ...] = (
    (0, b"\xff\xd8\xff", JpegImageFile),
    (0, b"\x89PNG\r\n\x1a\n", PngImageFile),
    (8, b"WEBP", WebPImageFile),
    (0, b"II*\0", TiffImageFile),
    (0, b"MM\0*", TiffImageFile),
    (0, b"II+\0", TiffImageFile),
    (0, b"MM\0+", TiffImageFile),
    (0, b"GIF87a", GifImageFile),
    (0, b"GIF89a", GifImageFile),
    (0, b"BM", BmpImageFile),
)
"""Offset, magic bytes, reader. Readers are called directly: nothing else of Pillow can be reached
(some of its readers run other programs), and the reader's own reason for refusing is not lost."""

_FOREIGN = (
    (128, b"DICM", "DICOM", "Export the picture, windowed as it is read, as PNG."),
    (4, b"ftyp", "HEIC, AVIF or video", "Export it as JPEG or PNG."),
    (4, b"jP  ", "JPEG 2000", "Export it as PNG."),
    (0, b"\xff\x4f\xff\x51", "JPEG 2000", "Export it as PNG."),
    (4, b"JXL ", "JPEG XL", "Export it as PNG."),
    (0, b"\xff\x0a", "JPEG XL", "Export it as PNG."),
    (0, b"%PDF", "PDF", "Export its pages as PNG."),
    (0, b"%!PS", "PostScript", "Export it as PNG."),
    (0, b"<svg", "SVG", "Export it as PNG."),
    (0, b"8BPS", "Photoshop", "Export it as PNG."),
    (0, b"\0\0\1\0", "icon", "Export it as PNG."),
    (0, b"PK\3\4", "zip archive", "Send its images one by one, or ingest it as an archive."),
    (0, b"\x1f\x8b", "gzip", "Unpack it first."),
)
_ACCEPTED = "Send JPEG, PNG, WebP, TIFF, BMP or GIF."
_AS_RGB = "Save it as PNG, in 8-bit RGB or 16-bit greyscale."
_DEEP_GREY = frozenset({"I", "F", "I;16", "I;16L", "I;16B", "I;16N"})

_ENDED_EARLY = re.compile("truncated|unpack|index out of range|no more images", re.IGNORECASE)
_OTHER_KIND = re.compile("unknown pixel mode|unsupported|cannot handle", re.IGNORECASE)
"""How Pillow's readers say that bytes are missing, or that a file is sound but not for them."""

_TURNS: dict[int, Callable[[UInt8], UInt8]] = {
    2: np.fliplr,
    3: lambda pixels: np.rot90(pixels, 2),
    4: np.flipud,
    5: lambda pixels: pixels.swapaxes(0, 1),
    6: lambda pixels: np.rot90(pixels, -1),
    7: lambda pixels: np.rot90(pixels, 2).swapaxes(0, 1),
    8: np.rot90,
}
"""EXIF orientation to what sets the picture upright."""


def decode(
    data: bytes,
    preprocessing: Preprocessing,
    limits: Limits = USUAL,
    filename: str | None = None,
) -> UInt8:
    """Return the pixels a backbone looks at: uint8 (size, size, 3), upright RGB, read-only.

    Raises:
        ImageRejected: the bytes are no image we read, break a limit, or are damaged. Nothing else
            is raised whatever the bytes are.
        ValueError: the preprocessing names a rule or interpolation that this version has not.
    """
    if preprocessing.decode != DECODE_RULE or preprocessing.interpolation not in INTERPOLATIONS:
        raise ValueError(f"this version cannot decode by {preprocessing}")
    size, resample = preprocessing.size, INTERPOLATIONS[preprocessing.interpolation]
    with _rejecting(data, filename):
        source = _open(data, limits)
        image, width, height = _load(source, math.ceil(size / preprocessing.crop))
        left, top, side = preprocessing.square(width, height)
        square = resize(image, (size, size), resample, (left, top, left + side, top + side))
        return _upright(square, source)


def upright_size(data: bytes, limits: Limits = USUAL) -> tuple[int, int]:
    """Return width and height of an image once it is set upright; raises as `decode` does."""
    with _rejecting(data, None):
        source = _open(data, limits)
        # Pillow says the size of a TIFF as it will be once it is turned.
        turned = _orientation(source) > 4 and not isinstance(source, TiffImageFile)  # noqa: PLR2004  5 to 8 lie on their side
        return source.size[::-1] if turned else source.size


def thumbnail(data: bytes, side: int, limits: Limits = USUAL) -> bytes:
    """Return a JPEG of the whole image, upright, its longer side at most `side`, no metadata.

    Raises:
        ImageRejected: as `decode` does.
    """
    with _rejecting(data, None):
        source = _open(data, limits)
        scale = min(1.0, side / max(source.size))
        across, down = (max(1, round(length * scale)) for length in source.size)
        image, width, height = _load(source, min(across, down))
        box = (0, 0, width, height)
        small = resize(image, (across, down), Image.Resampling.BICUBIC, box)
        # Made from bare pixels: Pillow carries comments and profiles along with an image.
        bare = Image.fromarray(_upright(small, source))
        bare.save(out := BytesIO(), "JPEG", quality=85)
        return out.getvalue()


def _open(data: bytes, limits: Limits) -> ImageFile:
    """Read the header only, and refuse whatever can be refused by it."""
    check_bytes(data, limits)
    for offset, magic, reader in _READERS:
        if data.startswith(magic, offset):
            source = reader(BytesIO(data))
            check_pixels(source, data, limits)
            return source
    for offset, magic, name, hint in _FOREIGN:
        if data.startswith(magic, offset):
            raise ImageRejected("unsupported_format", f"{name} is not accepted", hint=hint)
    raise ImageRejected(
        "not_an_image", f"no known image format begins with {data[:8]!r}", hint=_ACCEPTED
    )


def _load(source: ImageFile, shorter_side: int) -> tuple[Image.Image, float, float]:
    """Decode to RGB, L or F (spread to 0..255), JPEG at a reduced size that keeps `shorter_side`.

    Returns the image with the width and height it really covers: a reduced JPEG ends in a part of
    a pixel.
    """
    reduced = source.draft(None, (shorter_side, shorter_side))
    source.load()
    width, height = reduced[1][2:] if reduced else source.size
    return _flatten(source), width, height


def _flatten(source: ImageFile) -> Image.Image:
    if source.mode in _DEEP_GREY:
        return _spread(source)
    if source.mode == "LAB":
        raise ImageRejected("unsupported_format", "CIELAB colour is not accepted", hint=_AS_RGB)
    if source.has_transparency_data:
        rgba = source.convert("RGBA")
        white = Image.new("RGB", rgba.size, "white")
        white.paste(rgba, mask=rgba)
        return white
    return source if source.mode in {"RGB", "L"} else source.convert("RGB")


def _spread(source: ImageFile) -> Image.Image:
    """Map the picture's own minimum..maximum to 0..255: deep greyscale seldom uses its range."""
    grey = np.asarray(source)
    finite = grey[np.isfinite(grey)] if source.mode == "F" else grey
    if not finite.size:
        raise ImageRejected("damaged_image", "not one pixel is a number", hint=SEND_AGAIN)
    low, high = float(finite.min()), float(finite.max())
    if finite.size < grey.size:
        grey = np.nan_to_num(grey, nan=low, posinf=high, neginf=low)
    factor = 255 / (high - low) if high > low else 0.0
    spread = np.empty(grey.shape, np.float32)
    # Row by row, so that a large picture needs no second copy in float64.
    for row, target in zip(grey, spread, strict=True):
        target[:] = (row.astype(np.float64) - low) * factor
    if isinstance(source, TiffImageFile) and source.tag_v2.get(PHOTOMETRIC_INTERPRETATION) == 0:
        # White is zero here. Pillow inverts such pictures of 8 bits, not deeper ones.
        spread = 255 - spread
    return Image.fromarray(spread)


def _upright(pixels: UInt8, source: ImageFile) -> UInt8:
    """Turn pixels as the EXIF data of their source says, and make them read-only.

    Turning comes last because it is cheapest there, and a centred square allows it.
    """
    turn = _TURNS.get(_orientation(source))
    upright = np.ascontiguousarray(pixels if turn is None else turn(pixels))
    upright.flags.writeable = False
    return upright


def _orientation(source: ImageFile) -> int:
    try:
        # TIFF has been turned by Pillow while loading, and says 1 from then on.
        return int(source.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # noqa: BLE001  Pillow raises anything on damaged metadata, and pixels without it are still a picture
        return 1


@contextmanager
def _rejecting(data: bytes, filename: str | None) -> Iterator[None]:
    """Turn whatever Pillow raises about these bytes into one `ImageRejected`."""
    try:
        yield
    except ImageRejected as error:
        raise ImageRejected(error.code, error.detail, hint=error.hint, filename=filename) from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning, MemoryError) as error:
        raise ImageRejected(
            "too_many_pixels",
            f"decoding it would need too much memory ({error})",
            hint=SMALLER,
            filename=filename,
        ) from error
    except Exception as error:  # Pillow's readers raise anything on hostile bytes.
        code, what, hint = _classify(data, str(error))
        detail = f"{what} ({error})"
        raise ImageRejected(code, detail, hint=hint, filename=filename) from error


def _classify(data: bytes, reason: str) -> tuple[str, str, str]:
    if _is_cut_short(data, reason):
        return "truncated_image", "the file ends before its picture does", SEND_AGAIN
    if _OTHER_KIND.search(reason):
        return "unsupported_format", "pixels of this kind are not accepted", _AS_RGB
    return "damaged_image", "the file cannot be decoded", SEND_AGAIN


def _is_cut_short(data: bytes, reason: str) -> bool:
    """Say whether bytes are missing at the end, by the container's own words or else Pillow's."""
    if data.startswith(b"RIFF"):
        return len(data) < 8 + int.from_bytes(data[4:8], "little")
    if data.startswith((b"II*\0", b"MM\0*")):
        directory = int.from_bytes(data[4:8], "little" if data.startswith(b"II") else "big")
        if len(data) < directory:
            return True
    return _ENDED_EARLY.search(reason) is not None
