"""Do the labels say anything that vectors know? A permutation test, with everything learnt anew.

The labels are dealt out again at random, hundreds of times, and each time something is learnt from
them and judged on images that it did not learn from. The p-value is how often that went as well as
with the true labels: (b + 1) / (m + 1), where b of m deals did (Ojala and Garriga 2010, Journal of
Machine Learning Research 11, test 1; Phipson and Smyth 2010, Statistical Applications in Genetics
and Molecular Biology 9). It holds at any number of images, because the true labels are treated as
every deal is. Dealing labels to scores that were made with the true ones would not: those scores
know their labels, and such a test finds signal in noise.

What learns is a stand-in that a matrix product refits, not the head: ridge regression on the
penultimate vector and another on all stages, their mean score. Images of one group are scored
together by a stand-in that has seen none of them. What only trees can see, it does not.

Dealt are whole groups: a group gets the labels of another, in any order, stretched or thinned to
its own size. That is exact for groups of one size (an image without a group is one of its own).
Where all images are of one group there is nothing to deal, and p is 1.
The figure is the head's leading one: the AUC, the mean over outputs; of numbers Spearman's
correlation. Knows no metric of a head, and no folds.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Float64 = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

PERMUTATIONS = 999
FAST_PERMUTATIONS = 199

PENALTY = 3.0
"""Of the ridge regressions, whose rows have length 1 on average: the best of 0.1 to 10 in small
draws of six image sets, where it matters little from 1 up."""

_AT_ONCE = 2_000_000
"""Scores that are kept at a time."""

_ROUNDING = 1e-9
"""Deals that do as well but for rounding do as well."""


def permutation_p(
    views: Sequence[Float64],
    targets: Float64,
    groups: IntArray,
    *,
    squared: bool,
    permutations: int,
    seed: int,
) -> float:
    """Return how often chance does as well: at least 1 / (permutations + 1).

    Args:
        views: of the images, each float64 (n_images, rank), orthogonal columns without a label's
            influence; a stand-in learns from each, and their scores are averaged.
        targets: float64 (n_images, n_outputs): 0 or 1; any number where `squared`.
        groups: int64 (n_images,), numbers from 0 without a gap, of images that are not independent.
        squared: whether the one target is a number.
        permutations: how often labels are dealt.
        seed: equal seeds deal equally.
    """
    if not groups.any():
        # Of one group nothing is left to learn from: what scores it is rounding, and means nothing.
        return 1.0
    stand_ins = [_StandIn(view, groups) for view in views]
    rng = np.random.default_rng(seed)
    figure_of = _spearman if squared else _auc

    def figures(dealt: Float64) -> Float64:
        """Of float64 (n_images, n_deals, n_outputs)."""
        centred = (dealt - dealt.mean(axis=0)).reshape(len(dealt), -1)
        scores = sum(stand_in.scores(centred) for stand_in in stand_ins)
        return figure_of(np.asarray(scores).reshape(dealt.shape), dealt)

    truth = float(figures(targets[:, np.newaxis])[0])
    as_good, left = 0, permutations
    while left:
        count = min(left, max(1, _AT_ONCE // targets.size))
        dealt = targets[np.stack([_deal(groups, rng) for _ in range(count)], axis=1)]
        as_good += int(np.sum(figures(dealt) >= truth - _ROUNDING))
        left -= count
    return (as_good + 1) / (permutations + 1)


class _StandIn:
    """Ridge regression whose scores of each group come from all the others.

    Leaving out rows g of a fit with the hat matrix H changes their residuals r to
    (I - H_gg)^-1 r (Hastie, Tibshirani and Friedman, 7.10.1, for one row).

    Args:
        view: float64 (n_images, rank), orthogonal columns.
        groups: int64 (n_images,).
    """

    def __init__(self, view: Float64, groups: IntArray) -> None:
        self._view = view
        self._shrunk = view / ((view**2).sum(axis=0) + PENALTY)
        self._own = np.einsum("ij,ij->i", self._shrunk, view)[:, np.newaxis]
        self._together = []
        for group in np.flatnonzero(np.bincount(groups) > 1):
            rows = np.flatnonzero(groups == group)
            hat = self._shrunk[rows] @ view[rows].T
            self._together.append((rows, hat, np.linalg.inv(np.eye(rows.size) - hat)))

    def scores(self, y: Float64) -> Float64:
        """Return the score of each image by what was learnt without its group, of y's shape.

        Args:
            y: float64 (n_images, ...), centred.
        """
        fitted: Float64 = self._view @ (self._shrunk.T @ y)
        found: Float64 = (fitted - self._own * y) / (1 - self._own)
        for rows, hat, undo in self._together:
            found[rows] = undo @ (fitted[rows] - hat @ y[rows])
        return found


def _deal(groups: IntArray, rng: np.random.Generator) -> IntArray:
    """Return whose label each image gets: int64 (n_images,)."""
    sizes = np.bincount(groups)
    starts = np.cumsum(sizes) - sizes
    members = np.lexsort((rng.random(groups.size), groups))
    place = np.empty(groups.size, np.int64)
    place[members] = np.arange(groups.size) - starts[groups[members]]
    giver = rng.permutation(sizes.size)[groups]
    return np.asarray(members[starts[giver] + place * sizes[giver] // sizes[groups]])


def _auc(scores: Float64, dealt: Float64) -> Float64:
    """AUC of each deal, the mean over outputs; one that all or none have says nothing: 0.5."""
    from scipy.stats import rankdata

    ranks = rankdata(scores, axis=0)
    yes = dealt.sum(axis=0)
    pairs = yes * (len(dealt) - yes)
    wins = (ranks * dealt).sum(axis=0) - yes * (yes + 1) / 2
    areas = np.divide(wins, pairs, out=np.full_like(wins, 0.5), where=pairs > 0)
    return np.asarray(areas.mean(axis=1))


def _spearman(scores: Float64, dealt: Float64) -> Float64:
    from scipy.stats import rankdata

    given, truth = (rankdata(each[:, :, 0], axis=0) for each in (scores, dealt))
    middle = (len(dealt) + 1) / 2
    given, truth = given - middle, truth - middle
    size = np.sqrt((given**2).sum(axis=0) * (truth**2).sum(axis=0))
    both = (given * truth).sum(axis=0)
    return np.asarray(np.divide(both, size, out=np.zeros_like(both), where=size > 0))
