"""Whether what a model's text says are trees, and trees that can be asked and explained.

Knows nothing of text.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]

MISSING_ZERO, MISSING_NAN = 4, 8
"""Bits of a split's `decision`: what counts as missing there (neither: nothing does)."""

DEFAULT_LEFT = 2
"""Bit of a split's `decision`: a missing value goes left."""

_DECISIONS = [missing + left for missing in (0, MISSING_ZERO, MISSING_NAN) for left in (0, 2)]

MOST_EFFORT = 2**28
"""Leaves times squared depth, of all trees: what LightGBM's exact contributions take for a row,
some 0.7 s. Their memory grows with the square of the depth, and their stack with the depth: one
tree 40,000 deep would end the process."""


class BadText(ValueError):
    """The text is not a model as we write them; the message says where."""


@dataclass(frozen=True, slots=True)
class Found:
    """All trees, one after the other; children are places within their own tree."""

    n_splits: Int64
    column: Int64
    threshold: Float64
    decision: Int64
    left: Int64
    right: Int64
    leaves: Float64


def check_trees(trees: Found, n_columns: int) -> None:
    """Refuse what are no binary trees over the columns, or split in a way we do not know."""
    n_splits = trees.n_splits
    tree = np.repeat(np.arange(len(n_splits)), n_splits)
    own = np.arange(len(tree)) - np.repeat(np.cumsum(n_splits) - n_splits, n_splits)

    def refuse(bad: npt.NDArray[np.bool_], why: str) -> None:
        if bad.any():
            raise BadText(f"tree {tree[bad.argmax()]} {why}")

    strange = (trees.column < 0) | (trees.column >= n_columns)
    refuse(strange, f"looks at a column outside 0..{n_columns - 1}")
    refuse(~np.isin(trees.decision, _DECISIONS), "has a split that is not numerical")
    # Every place but the root is somebody's child once, and children come after their parents:
    # then a walk from the root ends at a leaf.
    for children in (trees.left, trees.right):
        outside = (children < ~n_splits[tree]) | (children >= n_splits[tree])
        refuse(outside | (children == 0), "is not a tree")
        refuse((children >= 0) & (children <= own), "turns back on itself")
    left, right = (within_all(children, n_splits) for children in (trees.left, trees.right))
    places = np.sort(np.concatenate((left, right)))
    doubled = places[1:][places[1:] == places[:-1]]
    if len(doubled):
        raise BadText(f"place {doubled[0]} is not a tree's: two splits lead there")
    _check_effort(n_splits, left, right)


def within_all(children: Int64, n_splits: Int64) -> Int64:
    """Turn places within each tree into places among the splits and leaves of all trees."""
    first_split = np.repeat(np.cumsum(n_splits) - n_splits, n_splits)
    first_leaf = first_split + np.repeat(np.arange(len(n_splits)), n_splits)
    return np.where(children >= 0, children + first_split, children - first_leaf)


def _check_effort(n_splits: Int64, left: Int64, right: Int64) -> None:
    """Refuse trees that nobody could explain: too deep for so many leaves."""
    leaves = (n_splits + 1).astype(np.float64)
    # No tree is deeper than it has splits, which is all that need be known of most.
    if float(np.sum(leaves * n_splits.astype(np.float64) ** 2)) <= MOST_EFFORT:
        return
    tree = np.repeat(np.arange(len(n_splits)), n_splits)
    places = (np.cumsum(n_splits) - n_splits)[n_splits > 0]
    depth, effort = np.zeros(len(n_splits)), 0.0
    while len(places):
        depth[tree[places]] += 1
        effort = float(np.sum(leaves * depth**2))
        if effort > MOST_EFFORT:
            raise BadText(f"tree {int(depth.argmax())} is too deep for its leaves to be explained")
        places = np.concatenate((left[places], right[places]))
        places = places[places >= 0]
