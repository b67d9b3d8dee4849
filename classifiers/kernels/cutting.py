"""The loops that cut trees into bushes. Knows nothing of how bushes are asked."""

from typing import Any

import numba
import numpy as np


@numba.njit(cache=True, nogil=True)
def leaves_below(left: Any, right: Any) -> Any:  # noqa: ANN401  numba's own types
    """How many leaves are below each split: int64 (n_splits,)."""
    found = np.zeros(left.size, np.int64)
    # Children come after their parents.
    for split in range(left.size - 1, -1, -1):
        for child in (left[split], right[split]):
            found[split] += found[child] if child >= 0 else 1
    return found


@numba.njit(cache=True, nogil=True)
def cut(trees: Any, splits: Any, masks: Any, ends: Any) -> Any:  # noqa: ANN401  numba's own types
    """Write the splits of each bush, what they rule out, and where it ends; return how many.

    Args:
        trees: roots, left and right of `Trees`, and weights: how many leaves are below each split.
        splits: int64 (n, 7), another number at first.
        masks: uint8 (n, 8), zero at first.
        ends: int64 (n, 8): a leaf as in `Trees`, or the number of the bush that goes on from there;
            another number at first.
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
    first, stop = np.zeros(splits.size, np.int64), np.zeros(splits.size, np.int64)
    for split in range(splits.size):
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
    return ends.size


@numba.njit(cache=True, nogil=True)
def _heaviest(ends: Any, weights: Any) -> Any:  # noqa: ANN401  numba's own types
    """Return which end is the split with most leaves below it, -1 if all are leaves."""
    at = -1
    for end in range(ends.size):
        if ends[end] >= 0 and (at < 0 or weights[ends[end]] > weights[ends[at]]):
            at = end
    return at
