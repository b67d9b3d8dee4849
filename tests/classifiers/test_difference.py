"""The difference of two AUCs: narrow where errors go together, honest where nothing varies."""

import numpy as np
import numpy.typing as npt

from classifiers.difference import auc_difference
from classifiers.statistics import Measure, Pass, Scored, auc, cv_sharing
from classifiers.tasks import Question

QUESTION = Question("binary", ("no", "yes"))
Y = np.arange(200) % 2
FOLD = np.arange(200) % 5


def scored(scores: npt.NDArray[np.float64], groups: npt.NDArray[np.int64] | None = None) -> Scored:
    p = 1 / (1 + np.exp(-scores))
    passes = (Pass(FOLD, np.stack([1 - p, p], axis=1)),)
    return Scored(
        QUESTION,
        Y[:, None] * 1.0,
        np.arange(200) if groups is None else groups,
        passes,
        cv_sharing(5, 1),
    )


def noise(seed: int) -> npt.NDArray[np.float64]:
    return np.random.default_rng(seed).standard_normal(200)


def difference(one: Scored, other: Scored, n: int = 1) -> Measure:
    found = auc_difference(one, other, n)
    assert found is not None
    assert found["low"] <= found["value"] <= found["high"]
    return found


def width(measure: Measure) -> float:
    return measure["high"] - measure["low"]


def test_an_evaluation_hardly_differs_from_itself() -> None:
    one = scored(Y + noise(0))
    found = difference(one, one)
    assert found["value"] == 0
    assert width(found) < 0.3 * width(difference(one, scored(Y + noise(1))))


def test_the_difference_is_that_of_the_figures_and_turns_round() -> None:
    one, other = scored(2 * Y + noise(0)), scored(Y + noise(1))
    a, b = auc(one), auc(other)
    assert a is not None
    assert b is not None
    there, back = difference(one, other), difference(other, one)
    assert abs(there["value"] - (a.value - b.value)) < 1e-6
    assert abs(there["low"] + back["high"]) < 2e-6


def test_errors_on_the_same_images_make_the_interval_narrow() -> None:
    shared = Y + noise(0)
    alike = difference(scored(shared + 0.2 * noise(1)), scored(shared + 0.2 * noise(2)))
    apart = difference(scored(Y + noise(3)), scored(Y + noise(4)))
    assert width(alike) < 0.6 * width(apart)


def test_a_clear_difference_is_found_and_noise_is_not() -> None:
    blind = scored(noise(5))
    assert difference(scored(2 * Y + noise(0)), blind)["low"] > 0
    assert (
        difference(scored(noise(6)), blind)["low"] < 0 < difference(scored(noise(6)), blind)["high"]
    )


def test_two_evaluations_without_a_mistake_may_still_differ() -> None:
    found = difference(scored(9.0 * Y + 0.1 * noise(0)), scored(9.0 * Y + 0.1 * noise(1)))
    assert found["value"] == 0
    assert found["low"] < -0.005
    assert found["high"] > 0.005


def test_more_comparisons_make_every_interval_wider() -> None:
    one, other = scored(2 * Y + noise(0)), scored(Y + noise(1))
    widths = [width(difference(one, other, n)) for n in (1, 2, 5)]
    assert widths == sorted(widths)
    assert widths[0] < 0.95 * widths[2]


def test_intervals_of_equals_hold_zero_as_often_as_promised() -> None:
    missed = 0
    for seed in range(200):
        shared = np.random.default_rng([seed, 0]).standard_normal(200)
        own = [np.random.default_rng([seed, k]).standard_normal(200) for k in (1, 2)]
        groups = np.arange(200) // 2
        one, other = (scored(Y + shared + noise_of, groups) for noise_of in own)
        found = difference(one, other)
        missed += not found["low"] <= 0 <= found["high"]
    assert missed <= 16  # 10 of 200 are allowed on average; more than 16 once in 40
