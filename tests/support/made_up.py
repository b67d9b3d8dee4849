"""Digests, vectors and images made up for tests."""

import hashlib
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from features.keys import Vectors
from features.testing import ToyBackbone

SPACE = ToyBackbone.space


def name(number: int) -> str:
    """Return a digest for a number."""
    return hashlib.sha256(str(number).encode()).hexdigest()


def names(count: int, start: int = 0) -> list[str]:
    """Return the digests of numbers in a row."""
    return [name(start + i) for i in range(count)]


def made(count: int, seed: int = 0) -> Vectors:
    """Return random vectors of the toy space."""
    generator = np.random.default_rng(seed)
    return Vectors(
        generator.standard_normal((count, SPACE.dim), np.float32),
        generator.standard_normal((count, SPACE.stages_dim), np.float32),
    )


def one(vector: list[float]) -> Vectors:
    """Return the vectors of one image whose embedding begins with these numbers."""
    padded = np.array([[*vector, *[0.0] * (SPACE.dim - len(vector))]], np.float32)
    return Vectors(padded, np.zeros((1, SPACE.stages_dim), np.float32))


def everything_under(folder: Path) -> bytes:
    """Return the bytes of all files, one after the other."""
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def picture(number: int) -> bytes:
    """Return a small PNG, another for each number."""
    pixels = np.random.default_rng(number).integers(0, 256, (8, 8, 3), np.uint8)
    out = BytesIO()
    Image.fromarray(pixels).resize((40, 40)).save(out, "PNG")
    return out.getvalue()
