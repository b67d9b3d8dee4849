"""Is this image like those a head learnt from? Knows vectors alone: no labels, no model.

Mahalanobis distance under a covariance with a few large directions and one small variance for all
the rest: probabilistic PCA, Tipping and Bishop (1999), as fits hundreds of rows and thousands of
columns. Distances become p-values by comparing them with those of training images held out of
their own fit (inductive conformal anomaly detection, Laxhammar and Falkman 2015), so that a stated
share of images of the same kind raises a false alarm.

Mean and directions are kept in one byte a number: a served head is mostly these. The held-out
distances are measured with what was rounded, so that the share of alarms stays as stated.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
import numpy.typing as npt
from pydantic import with_config

from classifiers.linear import reduce_columns
from classifiers.strict import STRICT

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Int8 = npt.NDArray[np.int8]
Int64 = npt.NDArray[np.int64]

ALARM_RATE = 0.05
"""Share of images of the learnt kind that are called unlike it by mistake."""

MAX_DIRECTIONS = 8
"""Directions kept: a matrix-vector product of this many rows for each image and head."""

KEPT_VARIANCE = 0.8
FOLDS = 10
KEPT_DISTANCES = 512
"""Held-out distances kept to compare with; quantiles of them where there were more."""

_MOST_STEPS = 127
_SURELY_POSITIVE = 1 - 1e-6


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class NoveltySize:
    """How large the arrays of a `Novelty` are."""

    directions: int
    distances: int


@dataclass(frozen=True, eq=False)
class Novelty:
    """What images of the learnt kind look like.

    Args:
        rows: int8 (1 + n_directions, dim), in steps: the mean, and below it the directions, each
            scaled by what its variance adds to the distance.
        steps: float64 (1 + n_directions,), what one step of each row is.
        residual: 1 / variance of every other direction.
        distances: float64 (n_kept,), ascending: distances of training images held out.
    """

    rows: Int8
    steps: Float64
    residual: float
    distances: Float64

    @property
    def size(self) -> NoveltySize:
        """How large the arrays are."""
        return NoveltySize(len(self.rows) - 1, len(self.distances))

    @property
    def mean(self) -> Float64:
        """The middle of the kind: float64 (dim,)."""
        return np.asarray(self.steps[0] * self.rows[0])

    @property
    def directions(self) -> Float64:
        """Directions in which the kind varies more: float64 (n_directions, dim)."""
        return np.asarray(self.steps[1:, np.newaxis] * self.rows[1:])

    @cached_property
    def numbers(self) -> Float64:
        """What `kernels.usualness` needs beside the rows: float64 (2 + 2 * n_directions + 1,).

        The residual, the squared length of the mean and its step; then of each direction its step
        and how far the mean lies along it.
        """
        # Products of whole numbers: their sums are exact, whoever adds them up in which order.
        along = self.rows.astype(np.float64) @ self.rows[0] * self.steps * self.steps[0]
        of_directions = np.column_stack((self.steps[1:], along[1:])).reshape(-1)
        return np.concatenate(([self.residual, along[0], self.steps[0]], of_directions))

    def distance(self, units: Float32) -> Float64:
        """Squared Mahalanobis distance.

        Args:
            units: float32 (n_images, dim), rows of length 1.

        Returns:
            float64 (n_images,), higher is stranger.
        """
        from classifiers.kernels.usualness import distances_of

        found = np.empty(len(units))
        distances_of(self.rows, self.numbers, np.ascontiguousarray(units, np.float32), found)
        return found

    def p_value(self, units: Float32) -> Float64:
        """How usual images are: the share of held-out training images at least as strange.

        Args:
            units: float32 (n_images, dim), rows of length 1.

        Returns:
            float64 (n_images,), in (0, 1]; small is strange. 0.05 or less for about 5 % of new
            images of the learnt kind.
        """
        from classifiers.kernels.usualness import p_value

        found = self.distance(units).tolist()
        return np.array([p_value(self.distances, distance) for distance in found], np.float64)

    def to_arrays(self) -> dict[str, npt.NDArray[np.generic]]:
        """As plain arrays."""
        return {
            "rows": self.rows,
            "steps": self.steps,
            "distances": self.distances,
            "residual": np.array([self.residual], np.float64),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[np.generic]]) -> Self:
        """Read what `to_arrays` gave; raises ValueError where shapes or values do not fit."""
        rows = np.asarray(arrays["rows"], np.int8)
        steps = np.asarray(arrays["steps"], np.float64)
        distances = np.asarray(arrays["distances"], np.float64)
        residual = np.asarray(arrays["residual"], np.float64)
        shapes = (rows.ndim, steps.shape, distances.ndim, residual.shape)
        if shapes != (2, rows.shape[:1], 1, (1,)) or not len(rows):
            raise ValueError("the novelty arrays do not fit together")
        if not all(np.isfinite(a).all() for a in (steps, distances, residual)):
            raise ValueError("the novelty arrays must be finite")
        return cls(rows, steps, float(residual[0]), distances)


def unit_rows(vectors: Float32) -> Float32:
    """Return rows scaled to length 1; rows of zeros stay: float32 (n_images, dim)."""
    lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64))
    return np.asarray(vectors / np.maximum(lengths, 1e-30)[:, np.newaxis], np.float32)


def fit_novelty(units: Float32, groups: Int64 | None = None, seed: int = 0) -> Novelty:
    """Learn what images of this kind look like.

    Args:
        units: float32 (n_images, dim), rows of length 1, of all classes.
        groups: int64 (n_images,); images of one group are held out together. None: no groups.
        seed: of the folds.

    Returns:
        A model fitted on all images, with distances of images held out of their own fit.
    """
    n = len(units)
    names = np.unique(np.arange(n) if groups is None else groups)
    rng = np.random.default_rng(seed)
    fold_of = dict(zip(rng.permutation(names).tolist(), np.arange(len(names)) % FOLDS, strict=True))
    folds = np.array([fold_of[g] for g in (np.arange(n) if groups is None else groups).tolist()])
    held_out = np.empty(n)
    learnt = [folds != fold if (folds != fold).any() else folds == fold for fold in set(folds)]
    # As many directions in all: with one more, new images would lie farther off than held out ones.
    most = min(int(rest.sum()) for rest in learnt) // 4
    for fold, rest in zip(set(folds), learnt, strict=True):
        held_out[folds == fold] = _fit(units[rest], most).distance(units[folds == fold])
    ascending = np.sort(held_out)
    if n > KEPT_DISTANCES:
        # Quantiles in the middle of equal shares stand for them; ends would exaggerate.
        shares = (np.arange(KEPT_DISTANCES) + 0.5) / KEPT_DISTANCES
        ascending = np.quantile(ascending, shares)
    whole = _fit(units, most)
    return Novelty(whole.rows, whole.steps, whole.residual, ascending)


def _fit(units: Float32, most: int) -> Novelty:
    n, dim = units.shape
    mean = units.mean(axis=0, dtype=np.float64)
    centred = units - mean
    found = reduce_columns(centred)
    variances = (found.rows**2).sum(axis=0) / max(n - 1, 1)
    total = float((centred**2).sum()) / max(n - 1, 1)
    kept = _directions_kept(variances, total, min(most, MAX_DIRECTIONS))
    # Spread over all the columns that are left: with fewer rows than columns most show none.
    small = max((total - float(variances[:kept].sum())) / (dim - kept), 1e-9)
    large = np.maximum(variances[:kept], small)
    scale = np.sqrt(np.maximum(1 / small - 1 / large, 0.0))
    rows, steps = _in_steps(np.vstack((mean, (found.back[:, :kept] * scale).T)))
    steps[1:] *= _shrunk(steps[1:, np.newaxis] * rows[1:], 1 / small)
    return Novelty(rows, steps, 1 / small, np.empty(0))


def _in_steps(vectors: Float64) -> tuple[Int8, Float64]:
    """Round each row to whole steps of its own: a 127th of its largest number."""
    largest = np.abs(vectors).max(axis=1)
    steps = np.where(largest > 0, largest / _MOST_STEPS, 1.0)
    return np.rint(vectors / steps[:, np.newaxis]).astype(np.int8, order="C"), steps


def _shrunk(directions: Float64, residual: float) -> float:
    """What rounded directions are multiplied by, so that no distance can become negative."""
    energy = np.linalg.eigvalsh(directions @ directions.T)[-1] if len(directions) else 0.0
    return float(np.sqrt(min(1.0, _SURELY_POSITIVE * residual / max(energy, 1e-300))))


def _directions_kept(variances: Float64, total: float, most: int) -> int:
    most = min(most, len(variances) - 1)
    if total <= 0 or most < 1:
        return 0
    enough = int(np.searchsorted(np.cumsum(variances) / total, KEPT_VARIANCE)) + 1
    return min(enough, most)
