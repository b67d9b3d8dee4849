"""How near grades and numbers are to the truth: kappa, mean absolute error, R², Spearman.

Intervals: the jackknife that leaves out one group at a time (Efron and Stein 1981, Annals of
Statistics 9), its variance multiplied for shared images as in `statistics`, with Student's
quantile. Grades get one imaginary image that is a grade off: where every grade is right, nothing
else would say that the next one may not be.

Spearman's correlation has the interval of a score test, with Bonett and Wright's variance (2000,
Psychometrika 65). Of few images it is too small where it is nearly 1, and its interval errs to that
side. Knows no model.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from classifiers.statistics import CONFIDENCE, Estimate, Scored, estimate

Float64 = npt.NDArray[np.float64]

Statistic = Callable[[Float64], Float64]
"""A figure from sums over images, float64 (..., n_sums) in the order of `_sums`."""


def kappa(scored: Scored) -> Estimate:
    """Return the quadratic weighted kappa of grades: 0 is chance, 1 is all right.

    Cohen, "Weighted kappa" (1968), Psychological Bulletin 70. The grade given is the likeliest.
    """
    return _jackknifed(scored, _kappa, -1.0, 1.0)


def mean_absolute_error(scored: Scored) -> Estimate:
    """Return how far answers are off on average: in grades, or in the unit of the numbers."""
    return _jackknifed(scored, _error, 0.0, np.inf)


def r_squared(scored: Scored) -> Estimate:
    """Return R²: the share of the numbers' variance that is explained; guessing has none."""
    return _jackknifed(scored, _explained, -np.inf, 1.0)


def spearman(scored: Scored) -> Estimate | None:
    """Return Spearman's rank correlation of numbers and their truth; None if undefined.

    Ranks are those among the images held out together; folds count by their images.
    """
    from scipy.stats import rankdata

    n, passes = len(scored.targets), len(scored.passes)
    influence, value, inverse_sizes = np.zeros(n), 0.0, 0.0
    for one in scored.passes:
        for fold in np.unique(one.fold):
            rows = np.flatnonzero(one.fold == fold)
            if rows.size < 2:  # noqa: PLR2004  one image has no rank
                continue
            x, y = (
                _standard(rankdata(column[rows, 0])) for column in (scored.targets, one.answers)
            )
            rho = float(np.mean(x * y))
            value += rho * rows.size / n / passes
            influence[rows] += (x * y - rho * (x**2 + y**2) / 2) / n / passes
            inverse_sizes += rows.size**2 / (rows.size - 1) / n**2 / passes
    if not inverse_sizes:
        return None

    def spread(at: float) -> float:
        return float((1 - at**2) ** 2 * (1 + at**2 / 2) * inverse_sizes * n / max(1, n - 3))

    return estimate(scored, value, influence, spread, 1.0, 0.0, lowest=-1.0)


def _sums(truth: Float64, given: Float64) -> Float64:
    error = given - truth
    ones = np.ones_like(truth)
    return np.stack([ones, truth, truth**2, given, given**2, error**2, abs(error)], axis=-1)


def _kappa(sums: Float64) -> Float64:
    n, truth, truth_2, given, given_2, error_2, _ = np.moveaxis(sums, -1, 0)
    by_chance = (truth_2 + given_2 - 2 * truth * given / n) / n
    missed = np.divide(error_2 / n, by_chance, out=np.ones_like(n), where=by_chance > 0)
    return np.asarray(1 - missed)


def _error(sums: Float64) -> Float64:
    return np.asarray(sums[..., 6] / sums[..., 0])


def _explained(sums: Float64) -> Float64:
    n, truth, truth_2, _, _, error_2, _ = np.moveaxis(sums, -1, 0)
    variance = truth_2 - truth**2 / n
    return np.asarray(1 - np.divide(error_2, variance, out=np.ones_like(n), where=variance > 0))


def _jackknifed(scored: Scored, statistic: Statistic, lowest: float, highest: float) -> Estimate:
    from scipy.special import stdtrit

    by_group = _by_group(scored)
    value = float(statistic(by_group.sum(axis=1)).mean())
    if scored.question.exclusive:
        by_group = np.concatenate([by_group, _one_off(by_group)], axis=1)
    without = statistic(by_group.sum(axis=1, keepdims=True) - by_group).mean(axis=0)
    n = len(without)
    variance = (n - 1) / n * float(np.sum((without - without.mean()) ** 2)) * scored.sharing
    half = float(stdtrit(max(1, n - 1), (1 + CONFIDENCE) / 2)) * np.sqrt(variance)
    low, high = max(lowest, value - half), min(highest, value + half)
    return Estimate(value, float(low), float(high))


def _by_group(scored: Scored) -> Float64:
    """Sums of each group's images in each pass: float64 (n_passes, n_groups, n_sums).

    Numbers are taken from their middle, so that their squares keep their last digits.
    """
    question = scored.question
    if question.is_number:
        truth = scored.targets[:, 0]
        found = [one.answers[:, 0] for one in scored.passes]
    else:
        truth = question.numbers(scored.targets).astype(np.float64)
        found = [one.answers.argmax(axis=1).astype(np.float64) for one in scored.passes]
    middle = truth.mean()
    _, place = np.unique(scored.groups, return_inverse=True)
    summed = np.zeros((len(found), place.max() + 1, 7))
    for number, given in enumerate(found):
        np.add.at(summed[number], place, _sums(truth - middle, given - middle))
    return summed


def _one_off(by_group: Float64) -> Float64:
    one = _sums(np.zeros(1), np.ones(1))
    return np.repeat(one[None], len(by_group), axis=0)


def _standard(ranks: Float64) -> Float64:
    centred = ranks - ranks.mean()
    return np.asarray(centred / (float(np.sqrt(np.mean(centred**2))) or 1.0))
