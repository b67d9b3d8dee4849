"""Both regressions agree with scikit-learn's, at every strength, in far fewer columns."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge

from classifiers.linear import MAX_RANK, fit_paths, reduce_columns

STRENGTHS = (0.1, 1.0, 10.0)


def data(n: int, d: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(n)
    A = rng.standard_normal((n, d)) / np.sqrt(d)
    A -= A.mean(axis=0)
    t = (A @ rng.standard_normal(d) + 0.3 * rng.standard_normal(n) > 0.2).astype(float)
    return A, t


@pytest.mark.parametrize(("n", "d"), [(40, 200), (200, 30)])
def test_coefficients_are_those_of_scikit_learn(n: int, d: int) -> None:
    A, t = data(n, d)
    weights = np.where(t == 1, 2.0, 0.7)
    reduced = reduce_columns(A)
    (path,) = fit_paths(reduced.rows, t[:, None], STRENGTHS, weights, squared=False)
    for strength, beta in zip(STRENGTHS, path, strict=True):
        oracle = LogisticRegression(C=strength, max_iter=10_000, tol=1e-10)
        oracle.fit(A, t, sample_weight=weights)
        ours = A @ (reduced.back @ beta[:-1]) + beta[-1]
        assert ours == pytest.approx(oracle.decision_function(A), abs=0.02)


@pytest.mark.parametrize(("n", "d"), [(40, 200), (200, 30)])
def test_numbers_are_fitted_as_scikit_learns_ridge_does(n: int, d: int) -> None:
    A, t = data(n, d)
    values, weights = 3 * t + A[:, 0], np.where(t == 1, 2.0, 0.7)
    reduced = reduce_columns(A)
    (path,) = fit_paths(reduced.rows, values[:, None], STRENGTHS, weights, squared=True)
    for strength, beta in zip(STRENGTHS, path, strict=True):
        oracle = Ridge(alpha=1 / strength).fit(A, values, sample_weight=weights)
        ours = A @ (reduced.back @ beta[:-1]) + beta[-1]
        assert ours == pytest.approx(oracle.predict(A), abs=1e-4)


def test_fewer_columns_keep_every_inner_product() -> None:
    A, _ = data(50, 400)
    reduced = reduce_columns(A)
    assert reduced.rows.shape[1] <= 49
    assert reduced.rows @ reduced.rows.T == pytest.approx(A @ A.T, abs=1e-9)
    assert A @ reduced.back == pytest.approx(reduced.rows, abs=1e-9)


def test_many_rows_keep_the_largest_directions() -> None:
    A, _ = data(600, 500)
    assert reduce_columns(A).rows.shape == (600, MAX_RANK)


def test_columns_that_say_nothing_leave_the_intercept() -> None:
    nothing = reduce_columns(np.zeros((10, 5))).rows
    targets = np.arange(10)[:, None] % 2 * 1.0
    paths = fit_paths(nothing, targets, [1.0], np.ones(10), squared=False)
    assert paths.shape == (1, 1, 1)
    assert paths[0, 0, 0] == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("squared", [False, True])
@pytest.mark.parametrize("n", [20, 60])
def test_rows_that_stand_there_often_at_a_part_of_their_weight_change_nothing(
    n: int, *, squared: bool
) -> None:
    """Few rows are solved for by rows, many by columns."""
    A, t = data(n, 400)
    Z, weights = reduce_columns(A).rows, np.where(t == 1, 1.5, 0.8)
    targets = np.stack([t, 1 - t + squared * A[:, 0]], axis=1)
    once = fit_paths(Z, targets, STRENGTHS, weights, squared=squared)
    often = (np.tile(Z, (4, 1)), np.tile(targets, (4, 1)), STRENGTHS, np.tile(weights / 4, 4))
    assert once == pytest.approx(fit_paths(*often, squared=squared), abs=1e-7)


def test_outputs_are_fitted_each_for_itself() -> None:
    A, t = data(30, 100)
    Z, weights = reduce_columns(A).rows, np.ones(30)
    targets = np.stack([t, np.roll(t, 1)], axis=1)
    together = fit_paths(Z, targets, STRENGTHS, weights, squared=False)
    for found, alone in zip(together, targets.T, strict=True):
        (expected,) = fit_paths(Z, alone[:, None], STRENGTHS, weights, squared=False)
        assert found == pytest.approx(expected, abs=1e-12)
