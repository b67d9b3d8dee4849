"""Prediction sets and intervals: what cannot be ruled out at a stated coverage. Knows no model.

Split conformal prediction on out-of-fold probabilities (cross-conformal): Vovk, "Cross-conformal
predictors" (2015); sets by thresholding the probability (LAC): Sadinle, Lei and Wasserman, "Least
ambiguous set-valued classifiers" (JASA 2019). How far the coverage that a small calibration set
gives may lie from the one asked for: Angelopoulos and Bates, "Conformal prediction: a gentle
introduction" (2023), section 3.2, a beta distribution.

Several labels: a threshold of its own for each, from the images that have it (class-conditional,
Vovk 2012, "Conditional validity of inductive conformal predictors"), so that of the images that
have a label, its sets hold it as often as stated. Grades: what lies between two grades of a set is
in it too. Numbers: as far to both sides as out-of-fold answers were off.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, inf

import numpy as np
import numpy.typing as npt
from pydantic import with_config

from classifiers.strict import STRICT

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]
Bool = npt.NDArray[np.bool_]

DEFAULT_COVERAGE = 0.9


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class SetRule:
    """Which labels belong to a prediction set, or how wide the interval of a number is.

    Args:
        coverage: how often the set, or the interval, should hold the truth; of several labels, how
            often it should hold each label that an image has.
        thresholds: smallest probability of a label in the set, one for all, or of several labels
            one for each; 0 lets it always in. Empty for numbers.
        low: lower end of the 95 % band of the coverage that this many images give; of several
            labels, of the one with the fewest.
        high: upper end of that band.
        images: independent images (or groups) that the rule was calibrated on; of several labels,
            that had the rarest one.
        margin: of numbers, how far the truth lies from the answer at most; None where there are too
            few images for the coverage, and for everything else.

    Raises:
        ValueError: a share is not between 0 and 1.
    """

    coverage: float
    thresholds: tuple[float, ...]
    low: float
    high: float
    images: int
    margin: float | None = None

    def __post_init__(self) -> None:
        shares = (self.coverage, *self.thresholds, self.low, self.high)
        if not all(0 <= share <= 1 for share in shares):
            raise ValueError("coverage, thresholds and band must lie between 0 and 1")
        if self.margin is not None and not 0 <= self.margin < inf:
            raise ValueError("a margin is a finite number of at least 0")

    def members(self, p: Float64, *, ordered: bool = False) -> Bool:
        """Which labels are in the set of each image.

        Args:
            p: float64 (n_images, n_classes).
            ordered: the classes are grades: those between two in the set are in it too.

        Returns:
            bool (n_images, n_classes). Where classes exclude each other, a row without members
            means: unlike anything learnt.
        """
        inside = np.asarray(p >= np.array(self.thresholds))
        return filled(inside) if ordered else inside

    def left(
        self, classes: Sequence[str], answer: Sequence[float], *, ordered: bool = False
    ) -> list[str]:
        """Return the labels in the set of one image, as `members`, without an array."""
        limits = self.thresholds
        if len(limits) == 1:
            limits *= len(classes)
        inside = [p >= limit for p, limit in zip(answer, limits, strict=True)]
        if ordered and True in inside:
            first, last = inside.index(True), len(inside) - inside[::-1].index(True)
            return list(classes[first:last])
        return [name for name, is_in in zip(classes, inside, strict=True) if is_in]


def filled(inside: Bool) -> Bool:
    """Return sets of grades, bool (n_images, n_grades), with what lies between two of them."""
    above = np.logical_or.accumulate(inside, axis=1)
    below = np.logical_or.accumulate(inside[:, ::-1], axis=1)[:, ::-1]
    return np.asarray(above & below)


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
    edge = _find_edge(p[np.arange(len(y)), y], groups, coverage)
    return SetRule(coverage, (edge.value or 0.0,), edge.low, edge.high, edge.images)


def fit_label_rule(p: Float64, has: Bool, groups: Int64, coverage: float) -> SetRule:
    """Calibrate prediction sets of several labels, each on the images that have it.

    Args:
        p: float64 (n_images, n_labels), out of fold.
        has: bool (n_images, n_labels); every label has an image.
        groups: as of `fit_set_rule`.
        coverage: how often a set should hold a label that an image has.
    """
    edges = [_find_edge(p[own, k], groups[own], coverage) for k, own in enumerate(has.T)]
    rarest = min(edges, key=lambda edge: edge.images)
    thresholds = tuple(edge.value or 0.0 for edge in edges)
    return SetRule(coverage, thresholds, rarest.low, rarest.high, rarest.images)


def fit_margin(answers: Float64, values: Float64, groups: Int64, coverage: float) -> SetRule:
    """Calibrate the interval around a number.

    Args:
        answers: float64 (n_images,), out of fold.
        values: float64 (n_images,), the truth.
        groups: as of `fit_set_rule`.
        coverage: how often the interval should hold the truth.
    """
    edge = _find_edge(-np.abs(answers - values), groups, coverage)
    margin = None if edge.value is None else -edge.value
    return SetRule(coverage, (), edge.low, edge.high, edge.images, margin)


@dataclass(frozen=True, slots=True)
class _Edge:
    """What so large a share of observations is not below; None where there are too few."""

    value: float | None
    low: float
    high: float
    images: int


def _find_edge(fits: Float64, groups: Int64 | None, coverage: float) -> _Edge:
    """Find it for observations that fit the better the higher they are, one each group."""
    names = np.arange(len(fits)) if groups is None else groups
    _, which, sizes = np.unique(names, return_inverse=True, return_counts=True)
    n = len(sizes)
    # Of n + 1 exchangeable observations, the new one among them, so many may fall outside.
    outside = n + 1 - ceil((n + 1) * coverage)
    if outside < 1:
        return _Edge(None, 1.0, 1.0, n)
    order = np.argsort(fits, kind="stable")
    weight_below = np.cumsum((1.0 / sizes)[which][order])
    place = int(np.searchsorted(weight_below, outside - 1e-9))
    from scipy.stats import beta  # late: half a second, and nobody who only answers needs it

    low, high = beta.ppf([0.025, 0.975], n + 1 - outside, outside)
    return _Edge(float(fits[order[min(place, len(fits) - 1)]]), float(low), float(high), n)
