"""Which images are nearly the same picture, and what that means for what is learnt from them.

Knows vectors and labels, no pixels. Two images are copies if their vectors are much closer to each
other than vectors around them usually are: the distance is measured by the distances to a near
neighbour of either (local scaling, Zelnik-Manor and Perona 2004). No threshold on the distance
itself would do: two X-rays of different people are nearer than two copies of one photograph.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from classifiers.examples import digests_of
from classifiers.label_set import LabelSet, counted
from classifiers.novelty import unit_rows

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

CLOSER = 0.4
"""How much closer than usual copies are; docs/explanation/label-audit.md measures it."""

NEIGHBOURS = 3
"""Which neighbour's distance is the usual one. Fewer than any class has others: a class of five
images far from everything else is not five copies."""

ALWAYS = 0.95
"""Cosine from which on two images are copies, however many others lie as close."""

FEW_DIRECTIONS = 6
"""Directions in which vectors must vary before nearness means much: among hundreds of points in a
space of three, many are near each other by chance, and only equal vectors count."""

_EQUAL = 1 - 1e-6

_FLAT = 0.1
"""Share of the mean deviation added to that of every column, so that one that hardly varies does
not outweigh the others."""

_AT_ONCE = 512


@dataclass(frozen=True, slots=True)
class Copies:
    """Images that are nearly the same, by row; `score` is the cosine that each of them reaches."""

    rows: tuple[int, ...]
    score: float


def find_copies(Z: Float32) -> list[Copies]:
    """Return the sets of images that are copies of each other, also over a third one.

    Args:
        Z: float32 (n_images, n_columns), columns that show an image's details.
    """
    n, near = len(Z), min(NEIGHBOURS, len(Z) - 1)
    if near < 1:
        return []
    units = _comparable(Z)
    equal, alike = np.arange(n), np.arange(n)
    neighbours, distances = np.empty((n, near), np.int64), np.empty((n, near))
    spread = 0.0
    for start in range(0, n, _AT_ONCE):
        block = units[start : start + _AT_ONCE] @ units.T
        rows = np.arange(start, start + len(block))
        spread += float(np.einsum("ij,ij->", block, block, dtype=np.float64))
        block[rows - start, rows] = -1
        neighbours[rows] = np.argpartition(block, n - near, axis=1)[:, n - near :]
        distances[rows] = (1 - np.take_along_axis(block, neighbours[rows], axis=1)).clip(0)
        _tie(equal, rows, block >= _EQUAL)
        _tie(alike, rows, block >= ALWAYS)
    # As many directions of equal variance would spread as much.
    if n**2 / max(spread, 1.0) >= FEW_DIRECTIONS:
        _tie_closer(alike, neighbours, distances)
        return _sets(alike, distances)
    return _sets(equal, distances)


def doubts(label_set: LabelSet, copies: Iterable[Sequence[int]]) -> Iterator[str]:
    """Say in sentences what copies mean for what is learnt; no image is named on a card.

    Args:
        label_set: what is learnt.
        copies: rows, in the order of `arrange`, of images that are copies of each other.
    """
    row_of = {digest: row for row, digest in enumerate(label_set.digests)}
    digests = digests_of(label_set)
    named = [[digests[row] for row in one] for one in copies]
    if named:
        images, sets = sum(map(len, named)), counted(named, "set")
        what = f"{images} images are nearly the same as another"
        yield f"{what}: {sets}, which the label audit names."

    def torn(column: Sequence[object]) -> int:
        values = [{column[row_of[digest]] for digest in one} - {None} for one in named]
        return sum(len(found) > 1 for found in values)

    rows = range(len(label_set))
    if n := torn(label_set.labels):
        yield f"Copies in {n} of these sets have different labels, of which one must be wrong."
    if n := torn([label_set.group(row) for row in rows]):
        yield f"Copies in {n} of these sets are in different groups, which count as one."
    if n := torn([label_set.is_test(row) for row in rows]):
        yield (
            f"Copies in {n} of these sets are on both sides of the split, so that the figures of "
            "test images are too good."
        )


def _comparable(Z: Float32) -> Float32:
    """Centre columns and bring them to one deviation: what all images share says nothing."""
    centred = Z - Z.mean(axis=0)
    deviations = centred.std(axis=0)
    return unit_rows(centred / (deviations + _FLAT * deviations.mean() + np.float32(1e-12)))


def _tie(set_of: IntArray, rows: IntArray, tied: BoolArray) -> None:
    """Make each row and those tied to it one set, in place.

    Args:
        set_of: int64 (n_images,).
        rows: int64 (n_rows,).
        tied: bool (n_rows, n_images).
    """
    for at in np.flatnonzero(tied.any(axis=1)).tolist():
        set_of[np.isin(set_of, set_of[tied[at]])] = set_of[rows[at]]


def _tie_closer(set_of: IntArray, neighbours: IntArray, distances: Float64) -> None:
    """Make those one set that are much closer than usual, in place.

    Of two such at least one has the other among its nearest: that whose own usual is the larger.
    """
    usual = distances.max(axis=1)
    close = distances <= CLOSER * np.sqrt(usual[:, np.newaxis] * usual[neighbours])
    for row, place in np.argwhere(close).tolist():
        set_of[set_of == set_of[neighbours[row, place]]] = set_of[row]


def _sets(set_of: IntArray, distances: Float64) -> list[Copies]:
    nearest = 1 - distances.min(axis=1)
    several = [np.flatnonzero(set_of == s) for s in np.flatnonzero(np.bincount(set_of) > 1)]
    found = [Copies(tuple(rows.tolist()), float(nearest[rows].min())) for rows in several]
    return sorted(found, key=lambda one: one.rows)
