"""Probabilities that mean what they say, learnt from out-of-fold ones. Knows no model, no vector.

What small data supports decides: a calibration is kept only where, fitted on some folds, it makes
the others more likely and their calibration error no larger; otherwise raw probabilities stay.

Sources: temperature scaling, Guo et al., "On calibration of modern neural networks" (ICML 2017);
Platt, "Probabilistic outputs for support vector machines" (1999), here for any number of classes
as a scale and one shift a class, held near "no change" by a prior.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import with_config
from typing_extensions import TypedDict

from classifiers.strict import STRICT

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]

Method = Literal["none", "temperature", "affine"]

TINY = 1e-12
PRIOR_SD = 1.0
"""Standard deviation of the prior on log scale and shifts: a change by e is unusual, not absurd."""

SURE = 1.0
"""Standard errors by which a calibration must win before it replaces raw probabilities."""

FOLDS = 5
BIN_IMAGES = 15
MAX_BINS = 10


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class Calibration:
    """How raw probabilities become calibrated ones: softmax(scale * log p + shifts).

    Args:
        method: none, temperature (scale alone) or affine (Platt's, for any number of classes).
        scale: over 1 sharpens, under 1 softens.
        shifts: one a class, summing to 0; empty stands for zeros.

    Raises:
        ValueError: the scale is not positive.
    """

    method: Method = "none"
    scale: float = 1.0
    shifts: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if not self.scale > 0:
            raise ValueError("the scale of a calibration must be positive")

    def apply(self, p: Float64) -> Float64:
        """Calibrate.

        Args:
            p: float64 (n_images, n_classes), rows sum to 1.

        Returns:
            float64 (n_images, n_classes), rows sum to 1.
        """
        if self.method == "none":
            return p
        return _transform(p, self.scale, np.asarray(self.shifts or np.zeros(p.shape[1])))


@with_config(STRICT)
class Bin(TypedDict):
    """One point of a reliability curve.

    Attributes:
        claimed: mean probability of the bin.
        true: share of its images for which that held.
        low: lower end of the 95 % interval of that share, by Wilson's method.
        high: upper end.
        images: in the bin.
    """

    claimed: float
    true: float
    low: float
    high: float
    images: int


def fit_calibration(p: Float64, y: Int64, folds: Int64) -> Calibration:
    """Choose and fit the calibration that the data supports.

    Args:
        p: float64 (n_images, n_classes), out-of-fold probabilities, rows sum to 1.
        y: int64 (n_images,), class numbers.
        folds: int64 (n_images,), a number that images which must stay together share.

    Returns:
        The best of none, temperature and affine by the likelihood of folds it was not fitted on;
        none unless its calibration error there is no larger than that of raw probabilities.
    """
    parts = keep_together(folds)
    best: Method = "none"
    best_losses, raw_error = _losses(p, y), calibration_error(p, y)
    for method in ("temperature", "affine"):
        crossed = cross_calibrated(p, y, parts, method)
        gain = best_losses - _losses(crossed, y)
        wins = gain.mean() > SURE * gain.std() / np.sqrt(len(y))
        if wins and calibration_error(crossed, y) <= raw_error:
            best, best_losses = method, _losses(crossed, y)
    return _fit(p, y, best)


def cross_calibrated(p: Float64, y: Int64, folds: Int64, method: Method) -> Float64:
    """Calibrated probabilities, each by a calibration fitted without its own fold."""
    out = np.empty_like(p)
    for fold in np.unique(folds):
        held = folds == fold
        out[held] = _fit(p[~held], y[~held], method).apply(p[held])
    return out


def log_loss(p: Float64, y: Int64) -> float:
    """Mean negative log-likelihood, in nats; lower is better."""
    return float(_losses(p, y).mean())


def calibration_error(p: Float64, y: Int64) -> float:
    """Expected calibration error over bins of equal size; 0 is perfect.

    Of two classes the second one's probability is judged, of more the largest one's.
    """
    claimed, true = _claims(p, y)
    gaps = [abs(claimed[rows].mean() - true[rows].mean()) * len(rows) for rows in _bins(claimed)]
    return float(sum(gaps) / len(y))


def reliability(p: Float64, y: Int64) -> tuple[Bin, ...]:
    """The reliability curve: for bins of equal size, what was claimed and what was true."""
    claimed, true = _claims(p, y)
    return tuple(_bin(claimed[rows], true[rows]) for rows in _bins(claimed))


def _losses(p: Float64, y: Int64) -> Float64:
    return np.asarray(-np.log(np.maximum(p[np.arange(len(y)), y], TINY)))


def _other(p: Float64, y: Int64) -> Float64:
    """The loss of each image if it were of any class but its own."""
    rest = np.maximum(1 - p[np.arange(len(y)), y], TINY)
    return np.asarray(-np.log(rest))


def _bin(claimed: Float64, true: Float64) -> Bin:
    from scipy.stats import norm  # late: half a second, and no answer needs it

    n, share, z = len(true), float(true.mean()), float(norm.ppf(0.975))
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    low, high = max(0.0, float(centre - half)), min(1.0, float(centre + half))
    return Bin(claimed=float(claimed.mean()), true=share, low=low, high=high, images=n)


def _claims(p: Float64, y: Int64) -> tuple[Float64, Float64]:
    if p.shape[1] == 2:  # noqa: PLR2004 - two classes
        return p[:, 1], (y == 1).astype(np.float64)
    return p.max(axis=1), (p.argmax(axis=1) == y).astype(np.float64)


def _bins(claimed: Float64) -> Sequence[Int64]:
    count = int(np.clip(len(claimed) // BIN_IMAGES, 1, MAX_BINS))
    return np.array_split(np.argsort(claimed, kind="stable"), count)


def _fit(p: Float64, y: Int64, method: Method) -> Calibration:
    if method == "none":
        return Calibration()
    n_classes = p.shape[1]
    # Platt's targets: n images that are all right do not show that none will ever be wrong.
    wrong = 1 / (len(y) + 2)
    free_shifts = n_classes if method == "affine" else 0

    def cost(theta: Float64) -> float:
        shifts = theta[1:] if free_shifts else np.zeros(n_classes)
        said = _transform(p, float(np.exp(theta[0])), shifts)
        loss = float(((1 - wrong) * _losses(said, y) + wrong * _other(said, y)).sum())
        return loss + float((theta**2).sum()) / (2 * PRIOR_SD**2)

    from scipy.optimize import minimize

    theta = minimize(cost, np.zeros(1 + free_shifts), method="L-BFGS-B").x
    shifts = theta[1:] - theta[1:].mean() if free_shifts else np.empty(0)
    return Calibration(method, float(np.exp(theta[0])), tuple(float(s) for s in shifts))


def _transform(p: Float64, scale: float, shifts: Float64) -> Float64:
    logits = scale * np.log(np.maximum(p, TINY)) + shifts
    logits -= logits.max(axis=1, keepdims=True)
    e = np.exp(logits)
    return np.asarray(e / e.sum(axis=1, keepdims=True))


def keep_together(folds: Int64) -> Int64:
    """Turn any numbering of what must stay together into at most FOLDS folds of like size."""
    _, which, sizes = np.unique(folds, return_inverse=True, return_counts=True)
    load, place = np.zeros(FOLDS), np.zeros(len(sizes), np.int64)
    for group in np.argsort(-sizes, kind="stable"):
        place[group] = load.argmin()
        load[place[group]] += sizes[group]
    return place[which]
