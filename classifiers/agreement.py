"""How near grades and numbers are to the truth: kappa, mean absolute error, R², Spearman.

Intervals: the jackknife that leaves out one group at a time (Efron and Stein 1981, Annals of
Statistics 9), its variance multiplied for shared images as in `statistics`, with Student's
quantile. Grades get one imaginary image that is a grade off: where every grade is right, nothing
else would say that the next one may not be. Where the truth does not vary, or nothing is left to
vary without one group, a figure is unknown: none is better than one with an interval of no width.

Spearman's correlation is corrected for how few images are ranked together. Its interval is that of
Fisher's z with Bonett and Wright's variance (2000, Psychometrika 65), r² in place of r²/2, without
which it held the truth in 88 to 92 % of runs where that is near 1; and two neighbours of one fold
in the wrong order, since where all are in the right one nothing else would say that the next may
not be. Groups widen it by what their images have in common (`_alike`). Knows no model.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from classifiers.scored import Scored, inflation
from classifiers.statistics import CONFIDENCE, Estimate

Float64 = npt.NDArray[np.float64]

MOST_STEP = 0.5
"""By which an imaginary mistake changes a rank correlation at most."""

_NEIGHBOURS_SWAPPED = 12
"""Over m (m² - 1): what two neighbours of m in the wrong order cost a rank correlation."""

_ROUNDING = 1e-12
"""Share of the squares up to which a variance may be what rounding left."""

Statistic = Callable[[Float64], Float64]
"""A figure from sums over images, float64 (..., n_sums) in the order of `_sums`."""


def kappa(scored: Scored) -> Estimate | None:
    """Return the quadratic weighted kappa: 0 is chance, 1 is all right; None of one grade.

    Cohen, "Weighted kappa" (1968), Psychological Bulletin 70. The grade given is the likeliest.
    """
    return _jackknifed(scored, _kappa, -1.0, 1.0) if _varies(scored) else None


def mean_absolute_error(scored: Scored) -> Estimate | None:
    """Return how far answers are off on average: in grades, or in the unit of the numbers.

    None of numbers of one group, which tells nothing of the next.
    """
    question = scored.question
    most = float(len(question.classes) - 1) if question.exclusive else np.inf
    return _jackknifed(scored, _error, 0.0, most)


def r_squared(scored: Scored) -> Estimate | None:
    """Return R²: the share of the numbers' variance that is explained; guessing has none.

    None where they do not vary, or do not without some group.
    """
    return _jackknifed(scored, _explained, -np.inf, 1.0) if _varies(scored) else None


def spearman(scored: Scored) -> Estimate | None:
    """Return Spearman's rank correlation of numbers and their truth; None if undefined.

    Ranks are those among the images held out together; folds count by their images.
    """
    from scipy.special import stdtrit

    if not _varies(scored):
        return None
    n, passes = len(scored.targets), len(scored.passes)
    influence, value, inverse_sizes, steps = np.zeros(n), 0.0, 0.0, []
    ranks = np.zeros((passes, 2, n))
    for number, one in enumerate(scored.passes):
        for fold in np.unique(one.fold):
            rows = np.flatnonzero(one.fold == fold)
            if rows.size < 2:  # noqa: PLR2004  one image has no rank
                continue
            pair = _ranks(scored.targets[rows, 0]), _ranks(one.answers[rows, 0])
            ranks[number][:, rows] = pair
            found, moved = _rank_correlation(*pair)
            value += found * rows.size / n / passes
            influence[rows] += moved * rows.size / n / passes
            inverse_sizes += rows.size**2 / (rows.size - 1) / n**2 / passes
            steps.append(_NEIGHBOURS_SWAPPED / (rows.size**2 - 1) / n)
    if not steps:
        return None
    step = min(float(np.mean(steps)), MOST_STEP)
    inside = float(np.clip(value, step - 1, 1 - step))
    variance = (1 + inside**2) * inverse_sizes * n / max(1, n - 3)  # of Fisher's z
    plain = (1 - inside**2) ** 2 * variance
    alike = scored.sharing * _alike(scored, ranks, inside)
    factor = max(inflation(scored, influence, plain, 1.0), alike)
    quantile = float(stdtrit(max(1.0, scored.independent - 2), (1 + CONFIDENCE) / 2))
    # What the images show is on the scale of the figure: divided by `plain` it has no bounds where
    # the figure is near 1. On that of z it counts up to what images that are one by group would do.
    half = quantile * np.sqrt(min(factor, scored.most_inflation) * variance)
    low, high = (float(np.tanh(np.arctanh(inside) + end)) for end in (-half, half))
    half = quantile * np.sqrt(factor * plain)
    low, high = max(-1.0, min(low, inside - half)), min(1.0, max(high, inside + half))
    return Estimate(value, min(value, low), max(value, high))


def _alike(scored: Scored, ranks: Float64, at: float) -> float:
    """What the variance of a correlation is multiplied by for images of a group that are alike.

    That of normal numbers of which groups have some in common (by the delta method), as much as
    their ranks show. Of few groups these means say more than the sum of squares of `inflation`:
    folds of two or three groups have correlations near 1 or -1, which nothing seems to move.

    Args:
        scored: whose groups.
        ranks: float64 (n_passes, 2, n_images), standardised: of the truth and as given.
        at: the correlation.
    """
    sizes = np.unique(scored.groups, return_counts=True)[1]
    others = float(np.sum(sizes * (sizes - 1)))
    if not others:
        return 1.0
    _, place = np.unique(scored.groups, return_inverse=True)
    summed = ranks @ np.equal.outer(place, np.arange(sizes.size))
    met = np.einsum("pag,pbg->ab", summed, summed) - np.einsum("pan,pbn->ab", ranks, ranks)
    met /= others * len(ranks)
    truth, given, across = max(0.0, met[0, 0]), max(0.0, met[1, 1]), float(met[0, 1])
    shared = truth * given + across**2 - 2 * at * across * (truth + given)
    shared += at**2 * ((truth**2 + given**2) / 2 + across**2)
    # Of k groups held out together, a correlation varies as 1 / (k - 1), not as 1 / k.
    apart = np.unique(scored.passes[0].fold).size
    few = scored.independent / max(1, scored.independent - apart)
    return float(1 + few * max(0.0, shared) / (1 - at**2) ** 2 * others / len(place))


def _ranks(numbers: Float64) -> Float64:
    from scipy.stats import rankdata

    return _standard(rankdata(numbers))


def _rank_correlation(x: Float64, y: Float64) -> tuple[float, Float64]:
    """Spearman's correlation as it would be of very many images, and what each image moves it by.

    Both are ranks, standardised. That of few images is too small by 3 (rho - tau) / (m + 1)
    (Hoeffding 1948, Annals of Mathematical Statistics 19), tau being Kendall's; in a fold of eight,
    0.93 where it is 0.97.
    """
    m = len(x)
    rho = float(np.mean(x * y))
    of_rho = (x * y - rho * (x**2 + y**2) / 2) / m
    if m < 3:  # noqa: PLR2004  two images have one rank correlation, of both kinds
        return rho, of_rho
    signs = ((np.sign(x - a), np.sign(y - b)) for a, b in zip(x, y, strict=True))
    both, in_x, in_y = np.array([(s @ t, s @ s, t @ t) for s, t in signs]).T
    agreed = both / (np.sqrt(in_x.sum() * in_y.sum()) or 1.0)
    tau = float(agreed.sum())
    of_tau = 2 * (agreed - tau / m)
    corrected = ((m + 1) * rho - 3 * tau) / (m - 2)
    return float(np.clip(corrected, -1, 1)), ((m + 1) * of_rho - 3 * of_tau) / (m - 2)


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
    known = variance > _ROUNDING * truth_2
    return np.asarray(1 - np.divide(error_2, variance, out=np.full_like(n, np.nan), where=known))


def _varies(scored: Scored) -> bool:
    return bool((scored.targets != scored.targets[:1]).any())


def _jackknifed(
    scored: Scored, statistic: Statistic, lowest: float, highest: float
) -> Estimate | None:
    from scipy.special import stdtrit

    by_group = _by_group(scored)
    value = float(statistic(by_group.sum(axis=1)).mean())
    if scored.question.exclusive:
        by_group = np.concatenate([by_group, _one_off(by_group)], axis=1)
    if by_group.shape[1] < 2:  # noqa: PLR2004  nothing is left without the only one
        return None
    without = statistic(by_group.sum(axis=1, keepdims=True) - by_group).mean(axis=0)
    if not np.isfinite([value, *without]).all():
        return None
    n = len(without)
    variance = (n - 1) / n * float(np.sum((without - without.mean()) ** 2))
    variance *= scored.sharing_of_groups
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
