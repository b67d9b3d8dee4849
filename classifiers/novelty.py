"""Is this image like those a head learnt from? Knows vectors alone: no labels, no model.

Mahalanobis distance under a covariance with a few large directions and one small variance for all
the rest: probabilistic PCA, Tipping and Bishop (1999), as fits hundreds of rows and thousands of
columns. Distances become p-values by comparing them with those of training images held out of
their own fit (inductive conformal anomaly detection, Laxhammar and Falkman 2015), so that a stated
share of images of the same kind raises a false alarm.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
from pydantic import with_config

from classifiers.linear import reduce_columns
from classifiers.strict import STRICT

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]

MAX_DIRECTIONS = 32
"""Directions kept: a matrix-vector product of this many rows for each image and head."""

KEPT_VARIANCE = 0.8
FOLDS = 10
KEPT_DISTANCES = 512
"""Held-out distances kept to compare with; quantiles of them where there were more."""


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class NoveltySize:
    """How large the arrays of a `Novelty` are."""

    directions: int
    distances: int


@dataclass(frozen=True, slots=True, eq=False)
class Novelty:
    """What images of the learnt kind look like.

    Args:
        mean: float32 (dim,).
        directions: float32 (n_directions, dim), each scaled by what its variance adds to the
            distance.
        residual: 1 / variance of every other direction.
        distances: float64 (n_kept,), ascending: distances of training images held out.
    """

    mean: Float32
    directions: Float32
    residual: float
    distances: Float64

    @property
    def size(self) -> NoveltySize:
        """How large the arrays are."""
        return NoveltySize(len(self.directions), len(self.distances))

    def distance(self, units: Float32) -> Float64:
        """Squared Mahalanobis distance.

        Args:
            units: float32 (n_images, dim), rows of length 1.

        Returns:
            float64 (n_images,), higher is stranger.
        """
        centred = units - self.mean
        outside = self.residual * np.einsum("ij,ij->i", centred, centred, dtype=np.float64)
        inside = centred @ self.directions.T
        return np.asarray(outside - np.einsum("ij,ij->i", inside, inside, dtype=np.float64))

    def p_value(self, units: Float32) -> Float64:
        """How usual images are: the share of held-out training images at least as strange.

        Args:
            units: float32 (n_images, dim), rows of length 1.

        Returns:
            float64 (n_images,), in (0, 1]; small is strange. Under 0.05 for about 5 % of new
            images of the learnt kind.
        """
        n = len(self.distances)
        stranger = n - np.searchsorted(self.distances, self.distance(units), side="left")
        return np.asarray((1 + stranger) / (n + 1))

    def to_arrays(self) -> dict[str, npt.NDArray[np.generic]]:
        """As plain arrays."""
        return {
            "mean": self.mean,
            "directions": self.directions,
            "distances": self.distances,
            "residual": np.array([self.residual], np.float64),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[np.generic]]) -> Self:
        """Read what `to_arrays` gave; raises ValueError where shapes or values do not fit."""
        mean = np.asarray(arrays["mean"], np.float32)
        directions = np.asarray(arrays["directions"], np.float32)
        distances = np.asarray(arrays["distances"], np.float64)
        residual = np.asarray(arrays["residual"], np.float64)
        shapes = (mean.ndim, directions.ndim, distances.ndim, residual.shape)
        if shapes != (1, 2, 1, (1,)) or directions.shape[1] != len(mean):
            raise ValueError("the novelty arrays do not fit together")
        if not all(np.isfinite(a).all() for a in (mean, directions, distances, residual)):
            raise ValueError("the novelty arrays must be finite")
        return cls(mean, directions, float(residual[0]), distances)


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
    for fold in np.unique(folds):
        rest = units[folds != fold]
        held_out[folds == fold] = _fit(rest if len(rest) else units).distance(units[folds == fold])
    ascending = np.sort(held_out)
    if n > KEPT_DISTANCES:
        # Quantiles in the middle of equal shares stand for them; ends would exaggerate.
        shares = (np.arange(KEPT_DISTANCES) + 0.5) / KEPT_DISTANCES
        ascending = np.quantile(ascending, shares)
    whole = _fit(units)
    return Novelty(whole.mean, whole.directions, whole.residual, ascending)


def _fit(units: Float32) -> Novelty:
    n, dim = units.shape
    mean = units.mean(axis=0, dtype=np.float64)
    centred = units - mean
    found = reduce_columns(centred)
    variances = (found.rows**2).sum(axis=0) / max(n - 1, 1)
    total = float((centred**2).sum()) / max(n - 1, 1)
    kept = _directions_kept(variances, total, n)
    # Spread over all the columns that are left: with fewer rows than columns most show none.
    small = max((total - float(variances[:kept].sum())) / (dim - kept), 1e-9)
    large = np.maximum(variances[:kept], small)
    scale = np.sqrt(np.maximum(1 / small - 1 / large, 0.0))
    return Novelty(
        mean.astype(np.float32),
        (found.back[:, :kept] * scale).T.astype(np.float32),
        1 / small,
        np.empty(0),
    )


def _directions_kept(variances: Float64, total: float, n: int) -> int:
    most = min(MAX_DIRECTIONS, n // 4, len(variances) - 1)
    if total <= 0 or most < 1:
        return 0
    enough = int(np.searchsorted(np.cumsum(variances) / total, KEPT_VARIANCE)) + 1
    return min(enough, most)
