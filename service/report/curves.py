"""Curves and counts of out-of-fold probabilities. Knows no picture and no page.

The band of a ROC curve is made of joint confidence rectangles: at every threshold, Wilson's
intervals of both rates at the square root of 95 % each (Pepe, "The statistical evaluation of
medical tests", 2003, section 2.2.2). Unlike a bootstrap it does not shrink to a line where the head
made no mistake. Images of one group are not independent: groups are counted there, not images.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from classifiers.conformal import filled

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Bool = npt.NDArray[np.bool_]

CONFIDENCE = 0.95

MOST_POINTS = 300
"""Thresholds of a curve; more would not be seen."""


@dataclass(frozen=True, slots=True, eq=False)
class Roc:
    """A ROC curve from (0, 0) to (1, 1), one entry for each threshold.

    Args:
        false: float64 (n_points,), share of the others that are called so.
        true: float64 (n_points,), share of the class that is called so.
        false_low, false_high, true_low, true_high: the ends of their intervals.
        area: under the curve.
    """

    false: Float64
    true: Float64
    false_low: Float64
    false_high: Float64
    true_low: Float64
    true_high: Float64
    area: float


@dataclass(frozen=True, slots=True)
class SetSizes:
    """Shares of images whose prediction set holds no label, one, or several, and the truth."""

    none: float
    one: float
    several: float
    truth: float


def roc(scores: Float32, inside: Bool, independent: float = 1.0) -> Roc | None:
    """The ROC curve of one class against the rest; None where one side has no image.

    Args:
        scores: float32 (n_images,), probability of the class.
        inside: bool (n_images,), whether the image is of the class.
        independent: groups per image; 1 where every image stands for itself.
    """
    n_inside, n_outside = int(inside.sum()), int((~inside).sum())
    if not (n_inside and n_outside):
        return None
    order = np.argsort(-scores, kind="stable")
    # Between two images of one probability lies no threshold.
    last = np.flatnonzero(np.append(np.diff(scores[order]) != 0, [True]))
    hits, alarms = np.cumsum(inside[order])[last], np.cumsum(~inside[order])[last]
    true = np.append(0.0, hits / n_inside)
    false = np.append(0.0, alarms / n_outside)
    area = float(np.trapezoid(true, false))
    if len(true) > MOST_POINTS:
        kept = np.unique(np.linspace(0, len(true) - 1, MOST_POINTS).astype(int))
        true, false = true[kept], false[kept]
    false_low, false_high = wilson(false, n_outside * independent)
    true_low, true_high = wilson(true, n_inside * independent)
    return Roc(false, true, false_low, false_high, true_low, true_high, area)


def wilson(share: Float64, n: float) -> tuple[Float64, Float64]:
    """Both ends of Wilson's interval of shares of n, at the square root of 95 %."""
    from scipy.stats import norm  # late: half a second, and no answer needs it

    z = float(norm.ppf((1 + CONFIDENCE**0.5) / 2))
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return np.clip(centre - half, 0, share), np.clip(centre + half, share, 1)


def label_sets(
    p: Float32, has: Bool, thresholds: Sequence[float]
) -> tuple[list[float], list[float]]:
    """Of each label, the share of images with it, and without it, whose set holds it."""
    members = p >= np.array(thresholds, np.float32)
    with_it = (members & has).sum(axis=0) / np.maximum(has.sum(axis=0), 1)
    without = (members & ~has).sum(axis=0) / np.maximum((~has).sum(axis=0), 1)
    return with_it.tolist(), without.tolist()


def of_truth(p: Float32, y: npt.NDArray[np.int64]) -> Float32:
    """The probability that each image's own class was given: float32 (n_images,)."""
    return p[np.arange(len(y)), y]


def set_sizes(
    p: Float32, y: npt.NDArray[np.int64], threshold: float, *, ordered: bool = False
) -> SetSizes:
    """What prediction sets at this threshold hold, out of fold."""
    # The threshold is one of these probabilities, which were rounded since.
    members = p >= np.float32(threshold)
    if ordered:
        members = filled(members)
    sizes = members.sum(axis=1)
    return SetSizes(
        none=float((sizes == 0).mean()),
        one=float((sizes == 1).mean()),
        several=float((sizes > 1).mean()),
        truth=float(members[np.arange(len(y)), y].mean()),
    )
