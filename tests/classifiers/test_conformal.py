"""Prediction sets hold the true label as often as they say, and the band says how sure that is."""

import numpy as np
import pytest

from classifiers.conformal import SetRule, fit_set_rule


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


def test_groups_count_as_one_observation_each() -> None:
    rng = np.random.default_rng(0)
    p, y = world(rng, 40, 3)
    alone = fit_set_rule(p, y)
    repeated = fit_set_rule(np.repeat(p, 7, 0), np.repeat(y, 7), np.repeat(np.arange(40), 7))
    assert repeated.threshold == pytest.approx(alone.threshold)
    assert (repeated.low, repeated.high, repeated.images) == (alone.low, alone.high, 40)


def test_too_few_images_for_the_coverage_let_every_label_in() -> None:
    p = np.array([[0.99, 0.01]] * 8)
    rule = fit_set_rule(p, np.zeros(8, int), coverage=0.9)
    assert rule.members(np.array([[1.0, 0.0]])).all()
    assert rule.high == 1.0


def test_shares_outside_0_to_1_are_refused() -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        SetRule(0.9, 1.5, 0.8, 0.95, 50)
