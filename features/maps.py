"""What each place of an image adds to its vector: the maps of a backbone before they are pooled.

Arithmetic on arrays, and the way back from a vector to its maps in a converted graph. Knows nothing
of heads. Imports no library that runs a backbone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from features.errors import NoMaps
from features.keys import EmbeddingSpace, Float32, Vectors

Float64 = npt.NDArray[np.float64]

EPSILON = 1e-6
"""Added to variances: rounding then cannot show in the deviation of a channel that is constant."""

FINEST_SIDE = 20
"""Cells along a side of a grid, at most: what is seen in finer maps is edges and grain."""

TOLERANCE = 1e-4
"""Largest relative difference between a vector and what its maps pool to; 1e-6 is what is seen."""


@dataclass(frozen=True, slots=True, eq=False)
class Maps:
    """What each place of one image adds to each value of its vector.

    `blocks`: for each block of its space, float32 (n_columns, side, side). Summed over all places
    they are the image's row of `Vectors.matrix()`.
    """

    blocks: tuple[Float32, ...]

    @property
    def side(self) -> int:
        """Cells along a side of the grid that suits them: the finest that is not too fine."""
        sides: list[int] = [block.shape[1] for block in self.blocks]
        return max((side for side in sides if side <= FINEST_SIDE), default=min(sides))

    def pooled(self) -> Float32:
        """Return the vector that they add up to: float32 (width,)."""
        sums = [block.sum(axis=(1, 2), dtype=np.float64) for block in self.blocks]
        return np.concatenate(sums).astype(np.float32)

    def pool_to(self, vectors: Vectors) -> bool:
        """Say whether these are the maps of an image that has these vectors, the first of them."""
        dim = vectors.embeddings.shape[1]
        pooled, wanted = self.pooled(), vectors.matrix()[0]
        parts = ((pooled[:dim], wanted[:dim]), (pooled[dim:], wanted[dim:]))
        return all(
            np.abs(found - true).max(initial=0) <= TOLERANCE * np.abs(true).max(initial=1e-12)
            for found, true in parts
        )


def from_layers(last: Float32, stages: Sequence[Float32]) -> Maps:
    """Return the maps of an image whose layers gave these.

    Args:
        last: float32 (dim, side, side); its mean over places is the embedding.
        stages: for each stage, float32 (channels, side, side).
    """
    blocks = [mean_parts(last)]
    for layer in stages:
        blocks += [mean_parts(layer), deviation_parts(layer, EPSILON)]
    return Maps(tuple(blocks))


def mean_parts(layer: npt.NDArray[Any]) -> Float32:
    """Return what each place adds to the mean of its channel: float32 (channels, side, side)."""
    return np.asarray(layer / layer[0].size, np.float32)


def deviation_parts(layer: npt.NDArray[Any], epsilon: float = 0.0) -> Float32:
    """Return what each place adds to the standard deviation of its channel, as `mean_parts` does.

    A place has the share of the deviation that it has of the variance; where nothing varies, all
    places have the same.
    """
    values = layer.astype(np.float64)
    squares = (values - values.mean(axis=(1, 2), keepdims=True)) ** 2
    variance = squares.mean(axis=(1, 2), keepdims=True)
    even = np.ones_like(squares) / layer[0].size
    shares = np.divide(squares / layer[0].size, variance, out=even, where=variance > 0)
    return np.asarray(shares * np.sqrt(variance + epsilon), np.float32)


def regrid(values: Float64, side: int) -> Float64:
    """Return values spread over another grid by area; their sum stays the same.

    Args:
        values: float64 (n, n), what lies in each cell of a square.
        side: cells along a side of the new grid.
    """
    edges = np.arange(side + 1)[:, np.newaxis] * len(values) / side
    covered = np.clip(edges - np.arange(len(values)), 0, 1)
    shares = np.diff(covered, axis=0)
    return np.asarray(shares @ values @ shares.T)


def add_outputs(model: Any, space: EmbeddingSpace) -> list[int]:  # noqa: ANN401  OpenVINO publishes no types
    """Have a converted backbone give its maps too, behind its vectors.

    Returns:
        Number of the output that has the maps of the last layer, then those of each stage: one
        output may be both.

    Raises:
        NoMaps: its embedding is not pooled from maps.
    """
    results = [result.input_value(0).get_node() for result in model.get_results()]
    embedding, stages = results
    # Of each stage the mean comes first, then the deviation.
    means = [stages.input_value(2 * i).get_node() for i in range(len(space.stages))]
    found = [_maps_behind(embedding, 2), *(_maps_behind(mean, 1) for mean in means)]
    if found[0] is None or found[0].shape[1] != space.dim:
        raise NoMaps(space.backbone)
    names = [output.get_node().get_friendly_name() for output in found]
    distinct = dict(zip(names, found, strict=True))
    model.add_outputs(list(distinct.values()))
    return [len(results) + list(distinct).index(name) for name in names]


def _maps_behind(node: Any, finest: int) -> Any:  # noqa: ANN401  OpenVINO publishes no types
    """Walk back from a pooled vector to the maps (1, channels, side, side) it was made from."""
    while True:
        shape = node.output(0).shape
        if len(shape) == 4 and shape[2] == shape[3] >= finest:  # noqa: PLR2004  (1, c, h, w)
            return node.output(0)
        if not node.inputs():
            return None
        node = node.input_value(0).get_node()
