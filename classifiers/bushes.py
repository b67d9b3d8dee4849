"""Trees cut into bushes of at most eight leaves, as scoring wants them.

A threshold is rounded down to float32, which changes no decision: values are float32, and such a
value is above a number exactly if it is above the largest float32 not above that number.

Knows nothing of cards or files, and not how bushes are asked.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from classifiers.tree_shape import DEFAULT_LEFT, MISSING_NAN, MISSING_ZERO
from classifiers.trees import Trees

Array = npt.NDArray[Any]
Float32 = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]

LEAVES, SPLITS = 8, 7
"""Of a bush at most: what one split rules out is a byte, and what all of them do one number."""

_NONE = -(2**40)
NAN_IS_MISSING, ZERO_IS_MISSING, GOES_RIGHT = 1, 2, 4
"""Bits of how a split treats missing values."""


class Bushes(NamedTuple):
    """The trees of a booster: first the bush at the root of each tree, then all others.

    Args:
        thresholds: float32 (n_bushes, 7); a value above its threshold goes right. Splits that
            a bush has not send nothing right.
        columns: uint16 (n_bushes, 7), what each split looks at in the feature matrix.
        masks: uint64 (n_bushes,), a byte for each split: the leaves it rules out to the right.
        leaves: float64 (n_bushes, 8), what each adds; or the number of the bush it stands for.
        rare: uint8 (n_bushes, 8), how each split treats missing values, and which leaves stand for
            bushes; none where nothing is missing and every tree is one bush.
    """

    thresholds: Array
    columns: Array
    masks: Array
    leaves: Array
    rare: Array


class _Shape(NamedTuple):
    """Of `Trees`, and how many leaves are below each split."""

    roots: Array
    left: Array
    right: Array
    weights: Array


def to_bushes(trees: Trees, columns: IntArray) -> Bushes:
    """Cut the trees of one booster into bushes.

    Args:
        trees: of the booster.
        columns: int64 (trees.n_columns,), where the booster's columns are in the feature matrix.
    """
    from classifiers.kernels.cutting import cut, leaves_below

    # However they are cut, there are no more bushes than splits beside those at the roots.
    most = trees.roots.size + trees.column.size
    splits, ends = np.full((most, SPLITS), _NONE), np.full((most, LEAVES), _NONE)
    masks = np.zeros((most, LEAVES), np.uint8)
    weights = leaves_below(trees.left, trees.right)
    count = cut(_Shape(trees.roots, trees.left, trees.right, weights), splits, masks, ends)
    splits, masks, ends = splits[:count], masks[:count], ends[:count]
    is_split, is_leaf, is_bush = splits != _NONE, (ends < 0) & (ends != _NONE), ends >= 0
    rare = np.zeros((count, SPLITS + 1), np.uint8)
    rare[:, :SPLITS] = _placed(_treated(trees), splits, is_split, 0)
    rare[:, SPLITS] = np.packbits(is_bush, axis=1, bitorder="little")[:, 0]
    return Bushes(
        _placed(_round_down(trees.threshold), splits, is_split, np.inf),
        _placed(columns[trees.column].astype(np.uint16), splits, is_split, 0),
        masks.view("<u8")[:, 0].astype(np.uint64),
        np.where(is_bush, ends, _placed(trees.leaves, ~ends, is_leaf, 0.0)),
        rare if rare.any() else rare[:0],
    )


def _placed(values: Array, places: IntArray, where: npt.NDArray[np.bool_], other: float) -> Array:
    """Return the values at places, and another elsewhere; of the shape of places."""
    found = np.full(places.shape, other, values.dtype)
    found[where] = values[places[where]]
    return found


def _treated(trees: Trees) -> npt.NDArray[np.uint8]:
    """How each split treats missing values: uint8 (n_splits,)."""
    kind = trees.decision & (MISSING_ZERO | MISSING_NAN)
    treated = (kind == MISSING_NAN) * NAN_IS_MISSING + (kind == MISSING_ZERO) * ZERO_IS_MISSING
    treated += ((kind != 0) & (trees.decision & DEFAULT_LEFT == 0)) * GOES_RIGHT
    return np.asarray(treated, np.uint8)


def _round_down(threshold: npt.NDArray[np.float64]) -> Float32:
    with np.errstate(over="ignore"):
        rounded = threshold.astype(np.float32)
    above = rounded.astype(np.float64) > threshold
    return np.where(above, np.nextafter(rounded, np.float32(-np.inf)), rounded)
