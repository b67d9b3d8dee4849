"""The linear parts of a mixture: which columns each looks at, and how they are made alike.

Knows nothing of labels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from classifiers.blocks import Block
from classifiers.linear import Reduced, reduce_columns

Float64 = npt.NDArray[np.float64]

STAGES = "stages"
"""The part that looks at all blocks but the first together."""


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Columns of a linear part, centred, scaled to a mean energy of 1, and reduced."""

    columns: slice
    scale: Float64
    reduced: Reduced


def linear_parts(centred: Float64, blocks: Sequence[Block]) -> dict[str, Part]:
    """Return a part for each block, by its name, and where there are several that of the stages.

    Args:
        centred: float64 (n_images, n_columns).
        blocks: side by side in the columns, the penultimate vector first.
    """
    stops = np.cumsum([block.stop - block.start for block in blocks]).tolist()
    slices = [slice(a, b) for a, b in zip([0, *stops], stops, strict=False)]
    scale = np.empty(centred.shape[1])
    for columns in slices:
        energy = float((centred[:, columns] ** 2).sum(axis=1).mean())
        scale[columns] = 1 / np.sqrt(energy) if energy > 0 else 0.0
    parts = {
        block.name: _part(centred, columns, scale[columns])
        for block, columns in zip(blocks, slices, strict=True)
    }
    if len(blocks) > 1:
        rest = slice(stops[0], stops[-1])
        parts[STAGES] = _part(centred, rest, scale[rest] / np.sqrt(len(blocks) - 1))
    return parts


def _part(centred: Float64, columns: slice, scale: Float64) -> Part:
    return Part(columns, scale, reduce_columns(centred[:, columns] * scale))
