"""Trees of many heads in one array, and the loop that walks them. Knows nothing of cards or files.

A split takes 16 bytes, four to a cache line. Its threshold is rounded down to float32, which
changes no decision: values are float32, and such a value is above a number exactly if it is above
the largest float32 not above that number.
"""

from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from classifiers.trees import DEFAULT_LEFT, MISSING_NAN, MISSING_ZERO, Trees

SPLIT = np.dtype(
    [("threshold", np.float32), ("look", np.int32), ("left", np.int32), ("right", np.int32)]
)
"""One split; `look` is the column, with bits above it for how missing values go."""

Splits = npt.NDArray[np.void]
Float32 = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]

_ZERO_IS_MISSING = np.int32(1 << 30)
_NAN_IS_MISSING = np.int32(1 << 29)
_MISSING_GOES_LEFT = np.int32(1 << 28)
_COLUMN = np.int32((1 << 28) - 1)


def pack_splits(trees: Trees, columns: IntArray) -> Splits:
    """Return the splits of a booster as `SPLIT` records, in the order of `trees`.

    Args:
        trees: of one booster; places in them stay as they are.
        columns: int64 (trees.n_columns,), where the booster's columns are in the feature matrix.
    """
    splits = np.zeros(trees.column.size, SPLIT)
    missing = trees.decision & (MISSING_ZERO | MISSING_NAN)
    look = columns[trees.column].astype(np.int32)
    look[missing == MISSING_ZERO] |= _ZERO_IS_MISSING
    look[missing == MISSING_NAN] |= _NAN_IS_MISSING
    look[(missing != 0) & (trees.decision & DEFAULT_LEFT != 0)] |= _MISSING_GOES_LEFT
    splits["look"] = look
    splits["threshold"] = _round_down(trees.threshold)
    splits["left"], splits["right"] = trees.left, trees.right
    return splits


def _round_down(threshold: npt.NDArray[np.float64]) -> Float32:
    with np.errstate(over="ignore"):
        rounded = threshold.astype(np.float32)
    above = rounded.astype(np.float64) > threshold
    return np.where(above, np.nextafter(rounded, np.float32(-np.inf)), rounded)


@numba.njit(cache=True, nogil=True)
def walk(splits: Any, leaves: Any, roots: Any, heads: Any, scaled: Any, raw: Any) -> None:  # noqa: ANN401  numba's own types
    """Add to `raw` what every tree of every head says of every row.

    The sums run in the order in which LightGBM's own predictor runs them, in float64.

    Args:
        splits: `SPLIT` (n_splits,), of all heads.
        leaves: float64 (n_leaves,), of all heads.
        roots: int32 (n_trees,), of all heads.
        heads: int64 (n_heads, 18), as `packed` writes it.
        scaled: float32 (n_scalings, n_rows, width).
        raw: float64 (n_rows, outputs of all heads), zero at first.
    """
    # Row by row: the row then stays in the innermost cache while the trees stream past, which is
    # four times faster than walking a tree for many rows.
    for row in range(raw.shape[0]):
        for head in range(heads.shape[0]):
            first_split, first_leaf, first_root = heads[head, 0], heads[head, 1], heads[head, 2]
            n_trees, n_outputs, first_output = heads[head, 3], heads[head, 4], heads[head, 5]
            x = scaled[heads[head, 6], row]
            for tree in range(n_trees):
                place = roots[first_root + tree]
                while place >= 0:
                    split = splits[first_split + place]
                    value = x[split.look & _COLUMN]
                    # A missing value is rare, and a split that treats one specially rarer still.
                    if np.isnan(value) and not split.look & _NAN_IS_MISSING:
                        value = np.float32(0.0)
                    missing = np.isnan(value) or (split.look & _ZERO_IS_MISSING and value == 0.0)
                    if split.look & _MISSING_GOES_LEFT if missing else value <= split.threshold:
                        place = split.left
                    else:
                        place = split.right
                raw[row, first_output + tree % n_outputs] += leaves[first_leaf + ~place]
