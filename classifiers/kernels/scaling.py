"""The loop that scales blocks of columns. Knows nothing of heads."""

from typing import Any

import numba
import numpy as np

TINY = np.float32(1e-35)
"""LightGBM reads values this close to zero as zero; here they become zero for everyone."""


@numba.njit(cache=True, nogil=True)
def scale(X: Any, starts: Any, stops: Any, by_length: bool, scaled: Any) -> None:  # noqa: ANN401, FBT001  numba's own types
    """Write blocks scaled where they are.

    Args:
        X: float32 (n_images, width).
        starts: int64 (n_blocks,), the first column of each block.
        stops: int64 (n_blocks,), the column after its last.
        by_length: divide by the length of the block, not by 1.
        scaled: float32 (n_images, width), zero outside the blocks.
    """
    for row in range(X.shape[0]):
        for block in range(starts.size):
            length = 1.0
            if by_length:
                energy = 0.0
                for column in range(starts[block], stops[block]):
                    energy += np.float64(X[row, column]) * np.float64(X[row, column])
                length = np.sqrt(energy)
            for column in range(starts[block], stops[block]):
                value = np.float32(X[row, column] / length) if length > 0.0 else X[row, column]
                # Written so that NaN stays NaN.
                scaled[row, column] = np.float32(0.0) if abs(value) <= TINY else value
