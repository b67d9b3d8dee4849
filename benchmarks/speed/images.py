"""JPEGs to measure with, made here or from a folder, and the requests that carry them.

Made ones have the texture of photographs, which is what decoding costs by: smooth colour with
detail at every scale, falling off as in natural scenes (Field 1987). Any number of different files
is made of a few pictures by a comment inside: another digest, the same work to decode.
"""

import itertools
import struct
from io import BytesIO
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from benchmarks.speed.client import HOST

QUALITY = 85
DIFFERENT = 24
"""Pictures that differ as pictures."""

GRAINS = (4, 8, 16, 32, 64, 128, 256)
"""Lengths of waves, in pixels, that a made-up picture has; of equal strength, as in nature."""

BOUNDARY = "between-the-parts"


class Images:
    """An endless supply of JPEGs no two of which are the same file.

    Args:
        folder: JPEGs of somebody's own, used as they are for the usual size; made up without.
        run: told apart from other runs, so that no store knows its images yet.
    """

    def __init__(self, folder: Path | None, run: int) -> None:
        self._folder = folder
        self._run = run
        self._numbers = itertools.count()
        self._made: dict[tuple[int, int], list[bytes]] = {}

    def jpegs(self, count: int, width: int = 500, height: int = 400) -> list[bytes]:
        """Return so many new files."""
        pictures = self._pictures(width, height)
        numbers = itertools.islice(self._numbers, count)
        return [commented(pictures[n % len(pictures)], f"{self._run} {n}") for n in numbers]

    def write(self, folder: Path) -> str:
        """The folder of images of somebody's own, or one that is made here with made-up ones."""
        if self._folder is not None:
            return str(self._folder.resolve())
        return str(write_all(folder, self._pictures(500, 400)))

    def _pictures(self, width: int, height: int) -> list[bytes]:
        size = (width, height)
        if size not in self._made:
            if self._folder is not None and size == (500, 400):
                self._made[size] = _read(self._folder)
            else:
                some = DIFFERENT if width <= 1_000 else 4
                self._made[size] = [picture(width, height, seed) for seed in range(some)]
        return self._made[size]


def picture(width: int, height: int, seed: int) -> bytes:
    """Make up one JPEG."""
    generator = np.random.default_rng(seed)
    grey = sum(_noise(generator, width, height, grain) for grain in GRAINS) / np.sqrt(len(GRAINS))
    colour = np.stack([_noise(generator, width, height, 64) for _ in range(3)], axis=-1)
    fine = generator.normal(0, 0.08, (height, width, 1))
    mixed = np.asarray(grey)[..., np.newaxis] + 0.4 * colour + fine
    pixels = np.clip(128 + 45 * mixed, 0, 255).astype(np.uint8)
    return encoded(pixels)


def encoded(pixels: npt.NDArray[np.uint8]) -> bytes:
    """Return pixels as JPEG."""
    out = BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=QUALITY)
    return out.getvalue()


def commented(jpeg: bytes, comment: str) -> bytes:
    """Return another file of the same picture."""
    text = comment.encode()
    return jpeg[:2] + b"\xff\xfe" + struct.pack(">H", len(text) + 2) + text + jpeg[2:]


def form_request(path: str, jpeg: bytes, *, heads: list[str] | None = None) -> bytes:
    """Return a whole request with one image as a form, as browsers and curl send it."""
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="heads"\r\n\r\n{head}\r\n'.encode()
        for head in heads or []
    ]
    parts.append(
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="images"; filename="a.jpg"\r\n'
        f"Content-Type: image/jpeg\r\n\r\n".encode()
    )
    body = b"".join([*parts, jpeg, f"\r\n--{BOUNDARY}--\r\n".encode()])
    return request(path, body, f"multipart/form-data; boundary={BOUNDARY}")


def request(path: str, body: bytes, content_type: str) -> bytes:
    """Return a whole POST request."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: {content_type}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def write_all(folder: Path, jpegs: list[bytes]) -> Path:
    """Write files into a folder, half of them into each of two classes."""
    for number, jpeg in enumerate(jpegs):
        place = folder / ("one", "two")[number % 2] / f"{number:06}.jpg"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(jpeg)
    return folder


def _read(folder: Path) -> list[bytes]:
    found = sorted(p for p in folder.rglob("*") if p.suffix.lower() in (".jpg", ".jpeg"))
    if not found:
        raise SystemExit(f"There is no JPEG in {folder}.")
    return [path.read_bytes() for path in found[:1_000]]


def _noise(
    generator: np.random.Generator, width: int, height: int, grain: int
) -> npt.NDArray[np.float32]:
    """Smooth noise whose waves are about `grain` pixels long: float32 (height, width)."""
    small = generator.normal(size=(height // grain + 2, width // grain + 2)).astype(np.float32)
    whole = Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(whole, np.float32)
