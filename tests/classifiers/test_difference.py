"""The difference of two AUCs: narrow where errors go together, honest where nothing varies."""

import numpy as np
import numpy.typing as npt

from classifiers.difference import auc_difference, unpaired_difference
from classifiers.scored import Pass, Scored, cv_sharing
from classifiers.statistics import Measure, auc
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


def test_of_other_images_the_lengths_add_up_like_the_sides_of_a_right_angle() -> None:
    here, there = Measure(value=0.7, low=0.6, high=0.76), Measure(value=0.9, low=0.82, high=0.94)
    found = unpaired_difference(here, there)
    assert found == Measure(
        value=-0.2,
        low=round(-0.2 - float(np.hypot(0.1, 0.04)), 6),
        high=round(-0.2 + float(np.hypot(0.06, 0.08)), 6),
    )
    back = unpaired_difference(there, here)
    assert (back["low"], back["high"]) == (-found["high"], -found["low"])


def test_of_other_images_the_interval_holds_the_difference_as_often_as_it_says() -> None:
    rng, held = np.random.default_rng(0), 0
    for _ in range(2_000):
        one, other = rng.normal(0.7, 0.05), rng.normal(0.8, 0.02)
        half = 1.96 * 0.05, 1.96 * 0.02
        found = unpaired_difference(
            Measure(value=one, low=one - half[0], high=one + half[0]),
            Measure(value=other, low=other - half[1], high=other + half[1]),
        )
        held += found["low"] <= -0.1 <= found["high"]
    assert 0.935 <= held / 2_000 <= 0.965
