"""Novelty: foreign vectors stand out, the own kind raises alarms at the stated rate."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from classifiers.limits import FEWEST_USUAL
from classifiers.novelty import Novelty, fit_novelty, unit_rows

DIM = 96


def kind(seed: int, n: int, centre: int = 0) -> np.ndarray:
    """Unit vectors that lie near a few directions of their own, as images of one kind do."""
    shape = np.random.default_rng(centre)
    mean, axes = shape.normal(size=DIM), shape.normal(size=(6, DIM))
    rng = np.random.default_rng(seed)
    rows = mean + 0.5 * rng.normal(size=(n, 6)) @ axes + 0.1 * rng.normal(size=(n, DIM))
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


@pytest.mark.parametrize("n", [30, 300])
def test_foreign_vectors_are_stranger_than_the_own_kind(n: int) -> None:
    model = fit_novelty(kind(1, n))
    own, foreign = model.distance(kind(2, 500)), model.distance(kind(3, 500, centre=9))
    truth = np.r_[np.zeros(500), np.ones(500)]
    assert roc_auc_score(truth, np.r_[own, foreign]) > 0.99
    assert np.mean(model.p_value(kind(3, 500, centre=9)) <= 0.05) > 0.95


def test_the_own_kind_raises_alarms_at_the_stated_rate() -> None:
    rates = [
        np.mean(fit_novelty(kind(10 + seed, 200)).p_value(kind(50 + seed, 400)) <= 0.05)
        for seed in range(12)
    ]
    assert 0.02 < np.mean(rates) < 0.08


@pytest.mark.parametrize("n", [20, 24])
def test_few_images_that_have_nothing_in_common_raise_no_more_alarms(n: int) -> None:
    rng = np.random.default_rng(n)
    rates = [
        np.mean(fit_novelty(rows[:n]).p_value(rows[n:]) <= 0.05)
        for rows in (unit_rows(rng.normal(size=(200, 400)).astype(np.float32)) for _ in range(20))
    ]
    assert np.mean(rates) < 0.06


def test_images_of_a_group_are_held_out_together() -> None:
    one_each = kind(1, 40)
    copies = np.repeat(one_each, 5, axis=0) + np.float32(1e-4)
    groups = np.repeat(np.arange(40), 5)
    fresh = kind(2, 400)
    fooled = np.mean(fit_novelty(copies).p_value(fresh) <= 0.05)
    honest = np.mean(fit_novelty(copies, groups).p_value(fresh) <= 0.05)
    assert honest < 0.15 < fooled


def test_the_distance_is_mahalanobis_under_the_fitted_covariance() -> None:
    model = fit_novelty(kind(1, 60))
    precision = model.residual * np.eye(DIM) - model.directions.T.astype(float) @ model.directions
    x = kind(2, 5)
    expected = [(row - model.mean) @ precision @ (row - model.mean) for row in x.astype(float)]
    assert model.distance(x) == pytest.approx(expected, rel=1e-4)
    assert np.linalg.eigvalsh(precision).min() > 0


def test_it_survives_the_way_to_disk_and_refuses_what_does_not_fit() -> None:
    model = fit_novelty(kind(1, 700))
    arrays = model.to_arrays()
    again = Novelty.from_arrays(arrays)
    x = kind(2, 50)
    assert again.p_value(x).tolist() == model.p_value(x).tolist()
    with pytest.raises(ValueError, match="fit together"):
        Novelty.from_arrays({**arrays, "steps": arrays["steps"][:-1]})
    with pytest.raises(ValueError, match="finite"):
        Novelty.from_arrays({**arrays, "residual": np.array([np.nan])})


def test_identical_images_and_few_images_do_not_break_it() -> None:
    same = np.repeat(kind(1, 1), 10, axis=0)
    assert np.isfinite(fit_novelty(same).p_value(kind(2, 3))).all()
    assert np.isfinite(fit_novelty(kind(1, 3)).p_value(kind(2, 3))).all()


@pytest.mark.parametrize("seed", range(5))
def test_no_distance_is_negative_however_unlike_the_directions(seed: int) -> None:
    """Rounding must not make a direction longer than what it is taken from."""
    rng = np.random.default_rng(seed)
    line = rng.normal(size=(80, 1)) * rng.normal(size=DIM)
    rows = 10 + line + 1e-5 * rng.normal(size=(80, DIM))
    model = fit_novelty(np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32))
    largest = np.linalg.norm(model.directions, 2) ** 2
    assert largest < model.residual


def test_numbers_that_are_none_are_as_strange_as_can_be() -> None:
    model = fit_novelty(kind(1, 60))
    (p,) = model.p_value(np.full((1, DIM), np.nan, np.float32))
    assert p == pytest.approx(1 / 61)


@pytest.mark.parametrize("n", [FEWEST_USUAL - 1, FEWEST_USUAL])
def test_from_so_many_images_on_one_can_be_called_unlike_them(n: int) -> None:
    rng = np.random.default_rng(0)
    novelty = fit_novelty(unit_rows(rng.normal(1, 0.1, (n, 20)).astype(np.float32)))
    strange = unit_rows(-np.ones((1, 20), np.float32))
    assert (novelty.p_value(strange)[0] <= 0.05) == (n >= FEWEST_USUAL)
