"""Columns of the feature matrix that a head looks at, and how each block of a row is scaled.

The scaling needs nothing but the row itself, so all heads of a space share it: it is computed once
for a row, however many heads look at it. Knows nothing of labels or trees.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from pydantic import with_config

from classifiers.errors import BadRecipe
from classifiers.strict import STRICT

Float32 = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class Block:
    """Columns `start` to `stop` (exclusive) of the feature matrix, by name."""

    name: str
    start: int
    stop: int


@dataclass(frozen=True)
class Scaling:
    """The blocks a head looks at, and the rule by which each is scaled, row by row."""

    blocks: tuple[Block, ...]
    normalisation: str

    @property
    def n_columns(self) -> int:
        """Number of columns in all blocks together."""
        return sum(block.stop - block.start for block in self.blocks)

    @cached_property
    def columns(self) -> IntArray:
        """Columns of the feature matrix, in the order in which the head sees them."""
        return np.concatenate([np.arange(block.start, block.stop) for block in self.blocks])

    def first(self, columns: Float32) -> Float32:
        """Return the first block, the penultimate vector, of columns that the head sees."""
        return columns[:, : self._first_width]

    def details(self, columns: Float32) -> Float32:
        """Return the blocks after the first, in which pictures differ that mean the same.

        Where there is no other block, the first.
        """
        return columns[:, self._first_width :] if len(self.blocks) > 1 else columns

    @property
    def _first_width(self) -> int:
        return self.blocks[0].stop - self.blocks[0].start

    @property
    def slices(self) -> tuple[slice, ...]:
        """Where each block lies among the columns that the head sees."""
        stops = np.cumsum([0, *(block.stop - block.start for block in self.blocks)]).tolist()
        return tuple(slice(start, stop) for start, stop in pairwise(stops))

    def lengths(self, row: Float32) -> list[float]:
        """Return what each block of one row of X is divided by; row: float32 (width,)."""
        if self.normalisation != "l2":
            return [1.0] * len(self.blocks)
        blocks = (row[block.start : block.stop].astype(np.float64) for block in self.blocks)
        return [float(np.sqrt(values @ values)) or 1.0 for values in blocks]

    def scale(self, X: Float32) -> Float32:
        """Return the blocks of X side by side, scaled: float32 (n_images, n_columns)."""
        return np.ascontiguousarray(self.scale_in_place(X)[:, self.columns])

    def scale_in_place(self, X: Float32) -> Float32:
        """Return X with its blocks scaled where they are: float32 (n_images, width).

        Columns outside the blocks are zero.
        """
        scaled = np.zeros_like(X)
        self.scale_into(scaled, np.ascontiguousarray(X))
        return scaled

    def scale_into(self, scaled: Float32, X: Float32) -> None:
        """Write the same to zeros of the shape of X, which lies row by row."""
        from classifiers.kernels.scaling import scale

        scale(X, *self._bounds, self.normalisation == "l2", scaled)

    @cached_property
    def _bounds(self) -> tuple[IntArray, IntArray]:
        """Where the blocks start, and where they stop: int64 (n_blocks,) each."""
        starts, stops = zip(*((block.start, block.stop) for block in self.blocks), strict=True)
        return np.array(starts, np.int64), np.array(stops, np.int64)


def choose_blocks(
    layout: Sequence[tuple[str, int, int]], names: Sequence[str]
) -> tuple[Block, ...]:
    """Return the named blocks of a layout, in the layout's order; ("all",) takes every block.

    A name also stands for the blocks below it: "stage3" for "stage3.mean" and "stage3.std".

    Raises:
        BadRecipe: if a name matches no block of the layout.
    """
    blocks = tuple(Block(*block) for block in layout)
    if tuple(names) == ("all",):
        return blocks
    for name in names:
        if not any(_is_below(block, name) for block in blocks):
            there = ", ".join(block.name for block in blocks)
            raise BadRecipe("blocks", f"no block {name!r}; there are {there}")
    return tuple(block for block in blocks if any(_is_below(block, name) for name in names))


def _is_below(block: Block, name: str) -> bool:
    return block.name == name or block.name.startswith(f"{name}.")
