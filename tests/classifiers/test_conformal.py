"""Prediction sets hold the true label as often as they say, and the band says how sure that is."""

import numpy as np
import pytest

from classifiers.conformal import SetRule, filled, fit_label_rule, fit_margin, fit_set_rule


def world(rng: np.random.Generator, n: int, n_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Over-confident probabilities and labels drawn from the honest ones."""
    logits = rng.normal(size=(n, n_classes)) * 1.5
    honest = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    y = (honest.cumsum(1) < rng.random((n, 1))).sum(1)
    bold = honest**3
    return bold / bold.sum(1, keepdims=True), y


@pytest.mark.parametrize("n_classes", [2, 5])
@pytest.mark.parametrize("coverage", [0.8, 0.9])
def test_realised_coverage_lies_in_the_band_as_often_as_a_95_percent_band_should(
    n_classes: int, coverage: float
) -> None:
    rng = np.random.default_rng(n_classes)
    inside, realised = [], []
    for _ in range(200):
        rule = fit_set_rule(*world(rng, 60, n_classes), coverage=coverage)
        p, y = world(rng, 4000, n_classes)
        share = rule.members(p)[np.arange(len(y)), y].mean()
        realised.append(share)
        inside.append(rule.low <= share <= rule.high)
    assert np.mean(realised) >= coverage - 0.01
    assert np.mean(inside) > 0.9


def label_world(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Over-confident probabilities of a common and a rare label, and what is true."""
    honest = 1 / (1 + np.exp(-rng.normal([0.5, -1.5], 1.5, size=(n, 2))))
    return honest**1.5, rng.random((n, 2)) < honest


def test_each_label_that_is_there_is_held_as_often_as_stated() -> None:
    rng = np.random.default_rng(3)
    held = []
    for _ in range(150):
        p, has = label_world(rng, 150)
        rule = fit_label_rule(p, has, np.arange(150), 0.9)
        p, has = label_world(rng, 3000)
        inside = rule.members(p)
        held.append([inside[has[:, k], k].mean() for k in range(2)])
    common, rare = np.mean(held, axis=0)
    assert 0.89 < common < 0.92
    assert 0.89 < rare < 0.93
    assert not inside.all()


def test_a_label_of_too_few_images_is_always_in_the_set() -> None:
    p, has = np.full((40, 2), 0.5), np.ones((40, 2), bool)
    has[8:, 1] = False
    rule = fit_label_rule(p, has, np.arange(40), 0.9)
    assert rule.thresholds == (0.5, 0.0)
    assert (rule.images, rule.high) == (8, 1.0)


def test_intervals_of_numbers_hold_the_truth_as_often_as_the_band_says() -> None:
    rng = np.random.default_rng(4)
    inside, realised = [], []
    for _ in range(300):
        off = rng.standard_t(4, 60)
        rule = fit_margin(off, np.zeros(60), np.arange(60), 0.9)
        assert rule.margin is not None
        share = np.mean(np.abs(rng.standard_t(4, 4000)) <= rule.margin)
        realised.append(share)
        inside.append(rule.low <= share <= rule.high)
    assert 0.89 < np.mean(realised) < 0.92
    assert np.mean(inside) > 0.9


def test_too_few_numbers_for_the_coverage_have_no_bound() -> None:
    rule = fit_margin(np.zeros(8), np.zeros(8), np.arange(8), 0.9)
    assert (rule.margin, rule.high) == (None, 1.0)


def test_grades_between_two_of_a_set_are_in_it() -> None:
    sets = np.array([[1, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 0], [1, 0, 0, 1]], bool)
    expected = [[1, 1, 1, 0], [0, 1, 0, 0], [0, 0, 0, 0], [1, 1, 1, 1]]
    assert filled(sets).astype(int).tolist() == expected
    rule = SetRule(0.9, (0.3,), 0.8, 1.0, 50)
    p = np.array([[0.4, 0.1, 0.5]])
    assert rule.members(p).sum() == 2
    assert rule.members(p, ordered=True).all()


def test_groups_count_as_one_observation_each() -> None:
    rng = np.random.default_rng(0)
    p, y = world(rng, 40, 3)
    alone = fit_set_rule(p, y)
    repeated = fit_set_rule(np.repeat(p, 7, 0), np.repeat(y, 7), np.repeat(np.arange(40), 7))
    assert repeated.thresholds == pytest.approx(alone.thresholds)
    assert (repeated.low, repeated.high, repeated.images) == (alone.low, alone.high, 40)


def test_too_few_images_for_the_coverage_let_every_label_in() -> None:
    p = np.array([[0.99, 0.01]] * 8)
    rule = fit_set_rule(p, np.zeros(8, int), coverage=0.9)
    assert rule.members(np.array([[1.0, 0.0]])).all()
    assert rule.high == 1.0


def test_shares_outside_0_to_1_are_refused() -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        SetRule(0.9, (1.5,), 0.8, 0.95, 50)
