"""The baseline is a fair opponent: it learns what is there, and no block drowns another."""

import numpy as np
import pytest
from made_heads import alternating, vectors

from classifiers.baseline import fit_baseline
from classifiers.blocks import Block
from classifiers.tasks import Question

CATS_OR_DOGS = Question("binary", ("cat", "dog"))
BLOCKS = (Block("a", 0, 24), Block("b", 24, 40))


def accuracy_beside_noise(loudness: float) -> float:
    """Return the accuracy of 20 images' lesson where one of two blocks is noise so loud."""
    labels = alternating(("cat", "dog"), 210)
    X = vectors(labels, 2.0)
    X[:, :24] = loudness * np.random.default_rng(1).standard_normal((420, 24))
    y = np.array([label == "dog" for label in labels], np.float64)
    p = fit_baseline(X[:20], y[:20, None], CATS_OR_DOGS, BLOCKS)(X[20:])
    np.testing.assert_allclose(p.sum(axis=1), 1)
    return float(np.mean(p.argmax(axis=1) == y[20:]))


def test_a_loud_block_of_noise_does_not_drown_a_quiet_one() -> None:
    assert accuracy_beside_noise(1000.0) == pytest.approx(accuracy_beside_noise(1.0))
    assert accuracy_beside_noise(1000.0) > 0.9


def test_a_rare_class_weighs_as_much_as_a_common_one() -> None:
    """Were images weighted alike, a third of the dogs would be found, not three of four."""
    labels = ("cat",) * 190 + ("dog",) * 10
    y = np.repeat([0.0, 1.0], [190, 10])
    X = vectors(labels, 0.4)
    unseen = np.tile(X - vectors(labels, 0.0), (10, 1)) + vectors(labels * 10, 0.0, seed=3)
    found = fit_baseline(X, y[:, None], CATS_OR_DOGS, BLOCKS)(unseen).argmax(axis=1)[
        np.tile(y, 10) == 1
    ]
    assert np.mean(found == 1) > 0.6


def test_a_constant_block_is_left_out() -> None:
    labels = alternating(("cat", "dog"), 20)
    X = vectors(labels, 2.0)
    X[:, :24] = 3
    y = np.tile([0.0, 1.0], 20)
    assert np.isfinite(fit_baseline(X, y[:, None], CATS_OR_DOGS, BLOCKS)(X)).all()


@pytest.mark.parametrize(("middle", "unit"), [(1.7e9, 1e-3), (0.0, 1e60)])
def test_ridge_regression_does_not_depend_on_the_unit_of_numbers(
    middle: float, unit: float
) -> None:
    rng = np.random.default_rng(0)
    Z = rng.standard_normal((60, 8)).astype(np.float32)
    y = Z[:, :1].astype(np.float64) + 0.1 * rng.standard_normal((60, 1))
    blocks = [Block("all", 0, 8)]
    plain, moved = (
        fit_baseline(Z, targets, Question("regression", ()), blocks)(Z)
        for targets in (y, middle + unit * y)
    )
    assert (moved - middle) / unit == pytest.approx(plain, abs=1e-3)
