"""AUC and balanced accuracy of answers, with 95 % intervals that are honest at small n.

What is compared: only images scored by the same fitted model, that is, held out together. Scores
of different folds come from different models, and pooling them biases the AUC (Airola et al. 2011,
Computational Statistics & Data Analysis 55). AUC of several classes: the mean of one-versus-rest;
of several labels, the mean over labels; of grades, the mean over "above grade k".

Intervals: all values that a score test would not reject. The variance of an AUC at the tested
value is Hanley and McNeil's (Newcombe 2006, Statistics in Medicine 25, method 5), which is right
at AUC 1 too, where DeLong's interval and the bootstrap collapse to a point. It is multiplied by

- the design effect: the variance of the images' summed influence, group by group (Obuchowski 1997,
  Biometrics 53; DeLong's for groups of one), over the variance without groups;
- for cross-validation a factor because fitted models share images (`scored.cv_sharing`). On real
  vectors with shuffled labels the interval without it misses chance in 8 to 18 % of runs, with it
  in 0 to 5 %.

The quantile is Student's, of as many degrees as there are independent groups less the classes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import floor, log10, nan

import numpy as np
import numpy.typing as npt
from pydantic import with_config
from typing_extensions import TypedDict

from classifiers.scored import Scored, inflation
from classifiers.strict import STRICT

Float64 = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
Bool = npt.NDArray[np.bool_]

CONFIDENCE = 0.95
CHANCE_AUC = 0.5
LIKELY = 0.5
_PLACES = 6


@with_config(STRICT)
class Measure(TypedDict):
    """One figure of a head with the interval it lies in at 95 % confidence."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure, its interval, and the one-sided p-value of its being better than chance or nan."""

    value: float
    low: float
    high: float
    p_value: float = nan

    def measure(self) -> Measure:
        """Return the figure and its interval, rounded to what they are worth.

        Six places; of what is small, as errors in a small unit are, six digits of the upper end.
        """
        size = max(abs(self.value), abs(self.low), abs(self.high))
        places = max(_PLACES, _PLACES - 1 - floor(log10(size))) if size > 0 else _PLACES
        value, low, high = (round(each, places) for each in (self.value, self.low, self.high))
        return Measure(value=value, low=low, high=high)


def auc(
    scored: Scored, confidence: float = CONFIDENCE, *, outputs: Sequence[int] | None = None
) -> Estimate | None:
    """Return the AUC, averaged over outputs; None if undefined.

    Outputs whose yes and no are nowhere held out together are left out.

    Args:
        scored: what is judged.
        confidence: of the interval.
        outputs: the ones to average over; all by default.
    """
    found = _yes_or_no(scored, range(scored.question.n_outputs) if outputs is None else outputs)
    if not found:
        return None
    value = float(np.mean([one.value for one in found]))
    influence = np.mean([one.influence for one in found], axis=0)
    sizes = np.array([one.sizes for one in found], np.float64)

    def spread(at: float) -> float:
        return float(np.mean(_hanley_mcneil(at, sizes[:, 0], sizes[:, 1])))

    # At best the classes' AUCs are independent of each other, and their mean gains all of that.
    return estimate(
        scored, value, influence, spread, 1 / len(found), CHANCE_AUC, confidence=confidence
    )


def auc_influence(scored: Scored) -> Float64:
    """Return by how much each image moves the AUC, summing to zero: float64 (n_images,)."""
    influence: Float64 = np.mean(
        [one.influence for one in _yes_or_no(scored, range(scored.question.n_outputs))], axis=0
    )
    return influence


def balanced_accuracy(scored: Scored) -> Estimate:
    """Return the mean over classes of the share that got its own class as the likeliest.

    Of several labels: the mean over labels, with and without each, of the share that was told so.
    """
    members, right = _told_rightly(scored)
    members, right = members[:, members.any(axis=0)], right[:, members.any(axis=0)]
    sizes = members.sum(axis=0)
    recall = (right * members).sum(axis=0) / sizes
    influence = ((right - recall) * members / sizes).mean(axis=1)
    inverse_sizes = float(np.sum(1 / sizes)) / sizes.size**2

    def spread(at: float) -> float:
        return float(at * (1 - at) * inverse_sizes)

    chance = 1 / len(scored.question.classes) if scored.question.exclusive else 0.5
    return estimate(scored, float(recall.mean()), influence, spread, 1.0, chance)


@dataclass(frozen=True, slots=True)
class _Class:
    """AUC of one class against the rest; influence: float64 (n_images,), sums to zero."""

    value: float
    influence: Float64
    sizes: tuple[int, int]


def _yes_or_no(scored: Scored, outputs: Sequence[int]) -> list[_Class]:
    ranked = [scored.question.ranked(one.answers) for one in scored.passes]
    return [one for k in outputs if (one := _influence(scored, ranked, k)) is not None]


def _influence(scored: Scored, ranked: Sequence[Float64], number: int) -> _Class | None:
    mine = scored.targets[:, number] > LIKELY
    wins, meetings = np.zeros(mine.size), np.zeros(mine.size)
    for one, scores in zip(scored.passes, ranked, strict=True):
        for fold in np.unique(one.fold):
            held_out = np.flatnonzero(one.fold == fold)
            inside, outside = held_out[mine[held_out]], held_out[~mine[held_out]]
            high, low = scores[inside, number], scores[outside, number]
            wins[inside] += _beaten(high, low)
            wins[outside] += inside.size - _beaten(low, high)
            meetings[inside] += outside.size
            meetings[outside] += inside.size
    pairs = float(meetings[mine].sum())
    if not pairs:
        return None
    value = float(wins[mine].sum()) / pairs
    return _Class(value, (wins - value * meetings) / pairs, (int(mine.sum()), int((~mine).sum())))


def _beaten(scores: Float64, others: Float64) -> Float64:
    """Return for each score how many of the others are lower, ties counting half."""
    ordered = np.sort(others)
    beaten: Float64 = (ordered.searchsorted(scores) + ordered.searchsorted(scores, "right")) / 2
    return beaten


def _told_rightly(scored: Scored) -> tuple[Bool, Float64]:
    """Who belongs to what, and who was told so, a share of the passes: (n_images, n_parts)."""
    question, targets = scored.question, scored.targets
    if question.exclusive:
        y = question.numbers(targets)
        members = y[:, None] == np.arange(len(question.classes))
        right = np.mean([one.answers.argmax(axis=1) == y for one in scored.passes], axis=0)
        return members, np.repeat(right[:, None], members.shape[1], axis=1)
    has = targets > LIKELY
    right = np.mean([(one.answers >= LIKELY) == has for one in scored.passes], axis=0)
    return np.hstack([has, ~has]), np.hstack([right, right])


def _hanley_mcneil(at: float, inside: Float64, outside: Float64) -> Float64:
    """Return the variance of an AUC of the given true value (Newcombe's balanced form)."""
    pulled = (inside + outside) / 2 - 1
    ties = 1 + pulled * ((1 - at) / (2 - at) + at / (1 + at))
    variance: Float64 = at * (1 - at) * ties / (inside * outside)
    return variance


def estimate(
    scored: Scored,
    value: float,
    influence: Float64,
    spread: Callable[[float], float],
    least: float,
    chance: float,
    *,
    confidence: float = CONFIDENCE,
) -> Estimate:
    """Return a figure with the interval of all values that a score test does not reject.

    Args:
        scored: what is judged.
        value: the figure.
        influence: float64 (n_images,), by how much each image moves it, summing to zero.
        spread: its variance without groups and shared images, if a value were the true one.
        least: smallest design effect.
        chance: its value by chance.
        confidence: of the interval.
    """
    from scipy.special import stdtr, stdtrit

    factor = inflation(scored, influence, spread(value), least)
    degrees = scored.degrees
    quantile = float(stdtrit(degrees, (1 + confidence) / 2))

    def variance(at: float) -> float:
        return factor * spread(at)

    low, high = (_edge(value, end, variance, quantile) for end in (0.0, 1.0))
    score = (value - chance) / np.sqrt(variance(chance))
    return Estimate(value, low, high, float(stdtr(degrees, -score)))


def _edge(value: float, end: float, variance: Callable[[float], float], quantile: float) -> float:
    """Return the value between `value` and `end` that the score test just does not reject."""
    inside, outside = value, end
    for _ in range(40):
        middle = (inside + outside) / 2
        if (value - middle) ** 2 <= quantile**2 * variance(middle):
            inside = middle
        else:
            outside = middle
    return inside
