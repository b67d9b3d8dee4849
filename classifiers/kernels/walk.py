"""The loop that asks the trees of many heads about an image. Knows nothing of cards or files.

A bush is not walked from split to split, each step waiting for the one before. All its splits are
asked at once: one that sends the image to the right rules out the leaves on its left, and of the
leaves that remain the leftmost is the one where a walk would end (QuickScorer; Lucchese et al.,
SIGIR 2015). Seven comparisons that wait for nothing take less time than three that do.
"""

from typing import Any

import numba
import numpy as np

from classifiers.bushes import GOES_RIGHT, NAN_IS_MISSING, SPLITS, ZERO_IS_MISSING, Bushes

_BYTE = np.uint64(255)
_HALVES = tuple(map(np.uint64, (32, 16, 8)))

_LEFTMOST = np.array([(~gone & (gone + 1)).bit_length() - 1 for gone in range(255)] + [0], np.int64)
"""By the leaves that are ruled out, one bit each: the first that is not."""


@numba.njit(cache=True, nogil=True)
def walk(  # noqa: PLR0917  a tuple in their place would cost numba 30 us a call
    thresholds: Any,  # noqa: ANN401  numba's own types, here and below
    columns: Any,  # noqa: ANN401
    masks: Any,  # noqa: ANN401
    leaves: Any,  # noqa: ANN401
    rare: Any,  # noqa: ANN401
    heads: Any,  # noqa: ANN401
    scaled: Any,  # noqa: ANN401
    raw: Any,  # noqa: ANN401
) -> None:
    """Add to `raw` what every tree of every head says of every row.

    The sums run in the order in which LightGBM's own predictor runs them, in float64.

    Args:
        thresholds: of the `Bushes` of all heads, one after the other.
        columns: likewise.
        masks: likewise.
        leaves: likewise.
        rare: likewise.
        heads: int64 (n_heads, 19), as `packed` writes it.
        scaled: float32 (n_scalings, n_rows, width).
        raw: float64 (n_rows, outputs of all heads), zero at first.
    """
    # Row by row: the row then stays in the innermost cache while the bushes stream past.
    bushes = Bushes(thresholds, columns, masks, leaves, rare)
    plain = np.empty(scaled.shape[2], np.float32)
    for row in range(raw.shape[0]):
        last = np.int64(-1)
        for head in range(heads.shape[0]):
            first_bush, first_rare, n_rare = heads[head, 0], heads[head, 1], heads[head, 16]
            n_trees, n_outputs, first_output = heads[head, 3], heads[head, 4], heads[head, 5]
            scaling = heads[head, 6]
            x = scaled[scaling, row]
            if scaling != last:
                _without_nan(x, plain)
                last = scaling
            for output in range(n_outputs):
                total = raw[row, first_output + output]
                for tree in range(output, n_trees, n_outputs):
                    if n_rare:
                        total += _reached(bushes, first_bush, first_rare, tree, x)
                    else:
                        bush = first_bush + tree
                        total += bushes.leaves[bush, _leaf(bushes, bush, plain)]
                raw[row, first_output + output] = total


@numba.njit(cache=True, nogil=True)
def _without_nan(x: Any, plain: Any) -> None:  # noqa: ANN401  numba's own types
    for column in range(x.size):
        plain[column] = np.float32(0.0) if np.isnan(x[column]) else x[column]


@numba.njit(cache=True, nogil=True)
def _leaf(bushes: Any, bush: Any, x: Any) -> Any:  # noqa: ANN401  numba's own types
    """Return the leaf of a bush that a row without NaN reaches."""
    # Half of all branches would be guessed wrongly: there is none.
    above = np.uint64(0)
    for split in range(SPLITS):
        value = x[bushes.columns[bush, split]]
        above |= np.uint64(value > bushes.thresholds[bush, split]) << np.uint64(8 * split)
    return _remaining(above, bushes.masks[bush])


@numba.njit(cache=True, nogil=True)
def _remaining(above: Any, mask: Any) -> Any:  # noqa: ANN401  numba's own types
    """Return the leaf that is reached; `above` has a byte for each split, 1 if it sends right."""
    gone = above * _BYTE & mask
    for half in _HALVES:
        gone |= gone >> half
    return _LEFTMOST[gone & _BYTE]


@numba.njit(cache=True, nogil=True)
def _reached(bushes: Any, first: Any, first_rare: Any, bush: Any, x: Any) -> Any:  # noqa: ANN401  numba's own types
    """Return what a tree adds that has several bushes, or splits for which something is missing."""
    while True:
        above = np.uint64(0)
        for split in range(SPLITS):
            value = x[bushes.columns[first + bush, split]]
            treated = bushes.rare[first_rare + bush, split]
            if np.isnan(value) and not treated & NAN_IS_MISSING:
                value = np.float32(0.0)
            missing = np.isnan(value) or (treated & ZERO_IS_MISSING and value == 0.0)
            right = value > bushes.thresholds[first + bush, split]
            if treated & GOES_RIGHT if missing else right:
                above |= np.uint64(1) << np.uint64(8 * split)
        leaf = _remaining(above, bushes.masks[first + bush])
        found = bushes.leaves[first + bush, leaf]
        if not bushes.rare[first_rare + bush, SPLITS] >> leaf & 1:
            return found
        bush = np.int64(found)
