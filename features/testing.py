"""ToyBackbone: a real engine in a page of numpy, for tests and first steps. No torch, no openvino.

Deterministic and fast; different images differ, similar ones are near, and simple questions
(which colour, which direction of stripes) can be learnt from it.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from features.keys import EmbeddingSpace, Preprocessing, Stage, UInt8, Vectors, digest
from features.maps import Maps, deviation_parts, mean_parts
from features.stream import Alone, Take, always, in_batches

_SIZE, _PATCH = 32, 4
_GRID = _SIZE // _PATCH

_WAVES = np.cos(np.pi / _GRID * np.outer(np.arange(3), np.arange(_GRID) + 0.5)) / _GRID
"""float64 (3, 8): the three slowest cosine waves across the grid of patches."""

_SPACE = EmbeddingSpace(
    backbone="toy",
    weights_sha256=digest(b"toy has no weights: its rules are its code, version 1"),
    layer="colour+waves+edges+contrast",
    stages=(Stage("colours", 3), Stage("edges", 4)),
    preprocessing=Preprocessing(
        decode="pillow-draft-v1",
        size=_SIZE,
        crop=1.0,
        interpolation="bicubic",
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
    ),
    precision="f32",
    dim=16,
)

Float64 = npt.NDArray[np.float64]


class ToyBackbone:
    """An engine of 16 dimensions and two stages over 32-pixel images."""

    space = _SPACE
    device = "cpu"

    def run(self, pixels: UInt8) -> Vectors:
        """Return the vectors of `pixels`: uint8 (n_images, 32, 32, 3), each seen on its own."""
        self.space.preprocessing.check(pixels)
        rows = np.empty((len(pixels), self.space.width), np.float32)
        for row, image in zip(rows, pixels, strict=True):
            row[:] = _look(image)
        return Vectors(rows[:, : self.space.dim].copy(), rows[:, self.space.dim :].copy())

    def stream(self, take: Take, alone: Alone = always) -> Iterator[Vectors]:  # noqa: ARG002  its own business
        """Run images as they come; yield the vectors of some of them at a time, in order."""
        return in_batches(self.run, take)

    def maps(self, image: UInt8) -> Maps:
        """Return what each place of an image adds to its vectors; image: uint8 (32, 32, 3)."""
        self.space.preprocessing.check(image[np.newaxis])
        return _look_at_places(image)

    def warm(self) -> None:
        """Do nothing: it is ready."""

    def close(self) -> None:
        """Do nothing: there is nothing to release."""


def _look(image: UInt8) -> Float64:
    """Return embedding and stages of one image: float64 (30,), all values within about -1..1."""
    scaled = image / 127.5 - 1.0
    patches = scaled.reshape(_GRID, _PATCH, _GRID, _PATCH, 3)
    colours = patches.mean(axis=(1, 3)).reshape(-1, 3)
    grey = scaled.mean(axis=2)
    edges = _edges(grey)
    # The constant wave is left out: the mean colour says it already.
    waves = (_WAVES @ colours.mean(axis=1).reshape(_GRID, _GRID) @ _WAVES.T).ravel()[1:]
    # The bias keeps an even grey image from having a zero vector, which has no direction.
    contrast = [grey.std() + 0.1]
    embedding = (colours.mean(axis=0), 4 * waves, edges.mean(axis=0), contrast)
    stages = (colours.mean(axis=0), colours.std(axis=0), edges.mean(axis=0), edges.std(axis=0))
    return np.concatenate(embedding + stages)


def _look_at_places(image: UInt8) -> Maps:
    """Return what each patch adds to what `_look` returns."""
    scaled = image / 127.5 - 1.0
    patches = scaled.reshape(_GRID, _PATCH, _GRID, _PATCH, 3)
    colours = patches.mean(axis=(1, 3)).transpose(2, 0, 1)
    grey = scaled.mean(axis=2)
    edges = _edges(grey).T.reshape(-1, _GRID, _GRID)
    waves = np.einsum("iy,jx,yx->ijyx", _WAVES, _WAVES, colours.mean(axis=0))
    contrast = deviation_parts(grey[np.newaxis]).reshape(1, _GRID, _PATCH, _GRID, _PATCH)
    embedding = (
        mean_parts(colours),
        4 * waves.reshape(-1, _GRID, _GRID)[1:],
        mean_parts(edges),
        contrast.sum(axis=(2, 4)) + 0.1 / _GRID**2,
    )
    stages = [part(layer) for layer in (colours, edges) for part in (mean_parts, deviation_parts)]
    return Maps((np.concatenate(embedding).astype(np.float32), *stages))


def _edges(grey: Float64) -> Float64:
    """Return float64 (64 patches, 4): mean steps right, down and along both diagonals."""
    steps = np.zeros((4, _SIZE, _SIZE))
    steps[0, :, 1:] = grey[:, 1:] - grey[:, :-1]
    steps[1, 1:, :] = grey[1:, :] - grey[:-1, :]
    steps[2, 1:, 1:] = grey[1:, 1:] - grey[:-1, :-1]
    steps[3, 1:, :-1] = grey[1:, :-1] - grey[:-1, 1:]
    patches = np.abs(steps).reshape(4, _GRID, _PATCH, _GRID, _PATCH)
    means: Float64 = patches.mean(axis=(2, 4))
    return means.reshape(4, -1).T
