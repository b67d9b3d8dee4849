"""Vectors of real images for large stores: views that the backbone has seen, and more made of them.

A million looks at images take an hour, so only some thousand *views* (crops and flips) are real.
Every further vector lies between two views of one image and is moved by the difference of two views
of a similar image, as far as makes it scatter around its image as much as real views do: what a
million crops and flips would look like, made of nothing but differences that the backbone has seen.
Queries are views of images that nothing is stored of.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from features.engine import Engine
from features.images import decode
from features.keys import Preprocessing, UInt8

Float32 = npt.NDArray[np.float32]
Int64 = npt.NDArray[np.int64]
Bool = npt.NDArray[np.bool_]

VIEWS = 24_000
"""Real views, of all images together: about two minutes of two cores."""

HELD_OUT = 20
"""Every so many-th image is asked about and not stored."""

SMALLEST = 0.6
"""Side of a crop, as a share of the image's, at least."""

SIMILAR = 8
"""Images nearest to one, whose views differ as its own would."""

SUFFIXES = {".jpg", ".jpeg", ".png"}
AT_ONCE = 2_048
_BATCH = 64
_SEED = 17


@dataclass(frozen=True, eq=False)
class Some:
    """Vectors by number. image: int64 (n,), which each is of; matrix: float32 (n, width)."""

    start: int
    image: Int64
    matrix: Float32


class Views:
    """Vectors of views in a file, and as many more as are wanted.

    Args:
        path: of float32 (images, views, width), images that are alike side by side.
        dim: leading numbers of a row that are searched; never negative, as the backbone makes them.
    """

    def __init__(self, path: Path, dim: int) -> None:
        every = np.load(path, mmap_mode="r", allow_pickle=False)
        held_out = np.arange(len(every)) % HELD_OUT == HELD_OUT - 1
        self.stored: Float32 = every[~held_out]
        self.asked: Float32 = every[held_out].reshape(-1, every.shape[2])[:, :dim]
        self._dim = dim

    @property
    def real(self) -> int:
        """How many of the vectors are those of real views, as they are: the first ones."""
        return int(self.stored.shape[0] * self.stored.shape[1])

    def queries(self, count: int) -> Float32:
        """Some views of images that are not stored: float32 (count, dim)."""
        order = np.random.default_rng(_SEED).permutation(len(self.asked))
        return self.asked[np.resize(order, count)]

    def parts(self, count: int) -> Iterator[Some]:
        """Yield so many vectors, the real ones first and in no order, always the same ones."""
        flat = self.stored.reshape(-1, self.stored.shape[2])
        similar = self._similar()
        for start, size, real in self._steps(count):
            if real is not None:
                yield Some(start, real // self.stored.shape[1], flat[real])
            else:
                generator, image = self._drawn(start, size)
                yield Some(start, image, self._between(generator, image, similar))

    def images(self, count: int) -> Int64:
        """The image of each of so many vectors: int64 (count,)."""
        views = self.stored.shape[1]
        return np.concatenate(
            [
                self._drawn(start, size)[1] if real is None else real // views
                for start, size, real in self._steps(count)
            ]
        )

    def _steps(self, count: int) -> Iterator[tuple[int, int, Int64 | None]]:
        """Yield (first number, how many, which real views they are, if they are)."""
        order = np.random.default_rng(_SEED).permutation(self.real)[:count]
        for start in range(0, len(order), AT_ONCE):
            some = order[start : start + AT_ONCE]
            yield start, len(some), some
        for start in range(len(order), count, AT_ONCE):
            yield start, min(AT_ONCE, count - start), None

    def _drawn(self, start: int, size: int) -> tuple[np.random.Generator, Int64]:
        generator = np.random.default_rng((_SEED, start))
        return generator, generator.integers(0, len(self.stored), size)

    def _between(self, generator: np.random.Generator, image: Int64, similar: Int64) -> Float32:
        """New views of images: float32 (n, width)."""
        other = similar[image, generator.integers(0, similar.shape[1], len(image))]
        a, b = self._two(generator, image)
        c, d = self._two(generator, other)
        along = generator.random((len(image), 1), np.float32)
        # What mixing two views takes from their variance, the difference of two others gives back.
        made: Float32 = a + along * (b - a) + np.sqrt(along * (1 - along)) * (c - d)
        made[:, : self._dim] = np.maximum(made[:, : self._dim], 0)
        return made

    def _two(self, generator: np.random.Generator, image: Int64) -> tuple[Float32, Float32]:
        views = self.stored.shape[1]
        first = generator.integers(0, views, len(image))
        second = (first + generator.integers(1, views, len(image))) % views
        return self.stored[image, first], self.stored[image, second]

    def _similar(self) -> Int64:
        """The images nearest to each: int64 (images, some)."""
        means = self.stored[:, :, : self._dim].mean(axis=1)
        means /= np.linalg.norm(means, axis=1, keepdims=True)
        some = min(SIMILAR, len(means) - 1)
        nearest = [
            np.argpartition(-(part @ means.T), some, axis=1)[:, : some + 1]
            for part in np.array_split(means, len(means) // AT_ONCE + 1)
        ]
        return np.concatenate(nearest).astype(np.int64)


def files_of(folder: Path, count: int) -> list[Path]:
    """Images of a folder, in the order of their paths, evenly chosen where more than so many."""
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    return found[:: -(-len(found) // count) or 1]


def see(engine: Engine, images: list[bytes], count: int, path: Path) -> None:
    """Has the backbone look at so many views of images, and keeps what it saw."""
    each = max(2, round(count / len(images)))
    generator = np.random.default_rng(_SEED)
    pixels = (
        view
        for data in images
        for view in views_of(data, each, generator, engine.space.preprocessing)
    )
    seen = []
    while batch := list(islice(pixels, _BATCH)):
        seen.append(engine.run(np.stack(batch)).matrix())
    matrix = np.concatenate(seen).reshape(len(images), each, -1)
    new = path.with_suffix(".new")
    with new.open("wb") as file:
        np.save(file, matrix)
    new.replace(path)


def views_of(
    data: bytes, count: int, generator: np.random.Generator, rule: Preprocessing
) -> Iterator[UInt8]:
    """Yield an image as it is, and then crops of it, every second one flipped."""
    yield decode(data, rule)
    with Image.open(BytesIO(data)) as file:
        whole = file.convert("RGB")
    for number in range(1, count):
        share = generator.uniform(SMALLEST, 1)
        width, height = (max(1, int(share * length)) for length in whole.size)
        left, top = (
            int(generator.integers(0, length - side + 1))
            for length, side in zip(whole.size, (width, height), strict=True)
        )
        view = whole.crop((left, top, left + width, top + height))
        out = BytesIO()
        (ImageOps.mirror(view) if number % 2 else view).save(out, "BMP")
        yield decode(out.getvalue(), rule)


def named(images: list[bytes], count: int, space_id: str) -> str:
    """A name for what a backbone sees in so many views of these images."""
    digest = hashlib.sha256(f"{space_id} {count}".encode())
    for data in images:
        digest.update(hashlib.sha256(data).digest())
    return f"views-{digest.hexdigest()[:16]}.npy"
