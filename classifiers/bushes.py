"""Trees cut into bushes of at most eight leaves, as scoring wants them.

A threshold is rounded down to float32, which changes no decision: values are float32, and such a
value is above a number exactly if it is above the largest float32 not above that number.

Knows nothing of cards or files, and not how bushes are asked.
"""

from typing import Any, NamedTuple

import numba
import numpy as np
import numpy.typing as npt

from classifiers.trees import DEFAULT_LEFT, MISSING_NAN, MISSING_ZERO, Trees

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
    # However they are cut, there are no more bushes than splits beside those at the roots.
    most = trees.roots.size + trees.column.size
    splits, ends = np.full((most, SPLITS), _NONE), np.full((most, LEAVES), _NONE)
    masks = np.zeros((most, LEAVES), np.uint8)
    weights = _leaves_below(trees.left, trees.right)
    count = _cut(_Shape(trees.roots, trees.left, trees.right, weights), splits, masks, ends)
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


@numba.njit(cache=True, nogil=True)
def _leaves_below(left: Any, right: Any) -> Any:  # noqa: ANN401  numba's own types
    """How many leaves are below each split: int64 (n_splits,)."""
    found = np.zeros(left.size, np.int64)
    # Children come after their parents.
    for split in range(left.size - 1, -1, -1):
        for child in (left[split], right[split]):
            found[split] += found[child] if child >= 0 else 1
    return found


@numba.njit(cache=True, nogil=True)
def _cut(trees: Any, splits: Any, masks: Any, ends: Any) -> Any:  # noqa: ANN401  numba's own types
    """Write the splits of each bush, what they rule out, and where it ends; return how many.

    Args:
        trees: of a booster, `_Shape`.
        splits: int64 (n, 7), `_NONE` at first.
        masks: uint8 (n, 8), zero at first.
        ends: int64 (n, 8): a leaf as in `Trees`, or the number of the bush that goes on from there;
            `_NONE` at first.
    """
    count, bush = trees.roots.size, 0
    ends[:count, 0] = trees.roots
    while bush < count:
        own = ends[bush]
        for end in range(_grow(trees, splits[bush], masks[bush], own)):
            if own[end] >= 0:
                ends[count, 0], own[end] = own[end], count
                count += 1
        bush += 1
    return count


@numba.njit(cache=True, nogil=True)
def _grow(trees: Any, splits: Any, masks: Any, ends: Any) -> Any:  # noqa: ANN401  numba's own types
    """Grow one bush from its first end, the heaviest end first; return how many ends it has."""
    first, stop = np.zeros(SPLITS, np.int64), np.zeros(SPLITS, np.int64)
    for split in range(SPLITS):
        n_ends = split + 1
        at = _heaviest(ends[:n_ends], trees.weights)
        if at < 0:
            return n_ends
        place = ends[at]
        # One end becomes two, and those to the right of it move on.
        for end in range(n_ends, at + 1, -1):
            ends[end] = ends[end - 1]
        ends[at], ends[at + 1] = trees.left[place], trees.right[place]
        first += first > at
        stop += stop > at
        splits[split], first[split], stop[split] = place, at, at + 1
        for earlier in range(n_ends):
            masks[earlier] = (1 << stop[earlier]) - (1 << first[earlier])
    return LEAVES


@numba.njit(cache=True, nogil=True)
def _heaviest(ends: Any, weights: Any) -> Any:  # noqa: ANN401  numba's own types
    """Return which end is the split with most leaves below it, -1 if all are leaves."""
    at = -1
    for end in range(ends.size):
        if ends[end] >= 0 and (at < 0 or weights[ends[end]] > weights[ends[at]]):
            at = end
    return at
