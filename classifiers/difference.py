"""By how much one evaluation is better than another, of the same images or of others.

On the same folds both saw the same images, so their errors go together, and the difference is
known better than either figure. Its interval is made of the two figures' own intervals and the
correlation of their errors (Zou and Donner 2008, Statistics in Medicine 27, "MOVER"): it stays
honest where an AUC is 1 and nothing varies. Knows nothing of spaces or heads.
"""

import numpy as np

from classifiers.scored import Scored
from classifiers.statistics import CONFIDENCE, Measure, auc, auc_influence


def auc_difference(one: Scored, other: Scored, n_comparisons: int = 1) -> Measure | None:
    """Return how much higher the AUC of `one` is, with its interval; None if one is undefined.

    Args:
        one: the newcomer.
        other: what it is compared with; images, groups and folds are the same.
        n_comparisons: how many newcomers are compared: the intervals of all of them hold at once
            with 95 % confidence (Bonferroni).
    """
    confidence = 1 - (1 - CONFIDENCE) / n_comparisons
    a, b = auc(one, confidence), auc(other, confidence)
    if a is None or b is None:
        return None
    together = _correlation(one, other)
    difference = a.value - b.value
    down = _length(a.value - a.low, b.high - b.value, together)
    up = _length(a.high - a.value, b.value - b.low, together)
    low, high = max(-1.0, difference - down), min(1.0, difference + up)
    return Measure(value=round(difference, 6), low=round(low, 6), high=round(high, 6))


def unpaired_difference(one: Measure, other: Measure) -> Measure:
    """Return how much higher `one` is than `other`, measured on other images, with its interval."""
    down = _length(one["value"] - one["low"], other["high"] - other["value"], 0.0)
    up = _length(one["high"] - one["value"], other["value"] - other["low"], 0.0)
    difference = one["value"] - other["value"]
    found = (difference, difference - down, difference + up)
    value, low, high = (round(each, 6) for each in found)
    return Measure(value=value, low=low, high=high)


def _correlation(one: Scored, other: Scored) -> float:
    """Return the correlation of the two AUCs' errors, from what each group moves them by."""
    _, place = np.unique(one.groups, return_inverse=True)
    moved = [np.bincount(place, auc_influence(scored)) for scored in (one, other)]
    size = float(np.sqrt(np.sum(moved[0] ** 2) * np.sum(moved[1] ** 2)))
    # Nothing went wrong, so nothing shows whether errors go together: take them as independent.
    return float(np.sum(moved[0] * moved[1])) / size if size > 0 else 0.0


def _length(one: float, other: float, correlation: float) -> float:
    return float(np.sqrt(max(0.0, one**2 + other**2 - 2 * correlation * one * other)))
