"""Prediction sets: the labels that cannot be ruled out at a stated coverage. Knows no model.

Split conformal prediction on out-of-fold probabilities (cross-conformal): Vovk, "Cross-conformal
predictors" (2015); sets by thresholding the probability (LAC): Sadinle, Lei and Wasserman, "Least
ambiguous set-valued classifiers" (JASA 2019). How far the coverage that a small calibration set
gives may lie from the one asked for: Angelopoulos and Bates, "Conformal prediction: a gentle
introduction" (2023), section 3.2, a beta distribution.
"""

from dataclasses import dataclass
from math import ceil

import numpy as np
import numpy.typing as npt
from pydantic import with_config
from scipy.stats import beta

from classifiers.strict import STRICT

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]
Bool = npt.NDArray[np.bool_]

DEFAULT_COVERAGE = 0.9


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class SetRule:
    """Which labels belong to a prediction set: those whose probability is at least `threshold`.

    Args:
        coverage: how often the set should hold the true label.
        threshold: smallest probability of a label in the set; 0 lets every label in.
        low: lower end of the 95 % band of the coverage that this many images give.
        high: upper end of that band.
        images: independent images (or groups) that the rule was calibrated on.

    Raises:
        ValueError: a share is not between 0 and 1.
    """

    coverage: float
    threshold: float
    low: float
    high: float
    images: int

    def __post_init__(self) -> None:
        shares = (self.coverage, self.threshold, self.low, self.high)
        if not all(0 <= share <= 1 for share in shares):
            raise ValueError("coverage, threshold and band must lie between 0 and 1")

    def members(self, p: Float64) -> Bool:
        """Which labels are in the set of each image.

        Args:
            p: float64 (n_images, n_classes), rows sum to 1.

        Returns:
            bool (n_images, n_classes); a row without members means: unlike anything learnt.
        """
        return np.asarray(p >= self.threshold)


def fit_set_rule(
    p: Float64, y: Int64, groups: Int64 | None = None, coverage: float = DEFAULT_COVERAGE
) -> SetRule:
    """Calibrate prediction sets on out-of-fold probabilities.

    Args:
        p: float64 (n_images, n_classes), out of fold, rows sum to 1.
        y: int64 (n_images,), class numbers.
        groups: int64 (n_images,); images of one group are not independent, so that each group
            weighs as one observation and the band counts groups. None where there are none.
        coverage: how often a set should hold the true label, between 0 and 1.

    Returns:
        A rule whose sets hold the label of a new image (of a new group) about that often. With
        fewer observations than the coverage needs, every label is in every set, and the band
        says 1.
    """
    of_truth = p[np.arange(len(y)), y]
    _, which, sizes = np.unique(
        np.arange(len(y)) if groups is None else groups, return_inverse=True, return_counts=True
    )
    n = len(sizes)
    # Of n + 1 exchangeable observations, the new one among them, so many may fall outside.
    outside = n + 1 - ceil((n + 1) * coverage)
    if outside < 1:
        return SetRule(coverage, 0.0, 1.0, 1.0, n)
    order = np.argsort(of_truth, kind="stable")
    weight_below = np.cumsum((1.0 / sizes)[which][order])
    place = int(np.searchsorted(weight_below, outside - 1e-9))
    threshold = float(of_truth[order[min(place, len(y) - 1)]])
    low, high = beta.ppf([0.025, 0.975], n + 1 - outside, outside)
    return SetRule(coverage, threshold, float(low), float(high), n)
