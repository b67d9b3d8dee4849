"""The baseline is a fair opponent: it learns what is there, and no block drowns another."""

import numpy as np
import pytest
from made_heads import alternating, vectors

from classifiers.baseline import fit_baseline
from classifiers.blocks import Block

BLOCKS = (Block("a", 0, 24), Block("b", 24, 40))


def learnt(factor: float) -> float:
    """Return the accuracy where one block of noise is `factor` times larger than the signal's."""
    labels = alternating(("cat", "dog"), 100)
    X = vectors(labels, 2.0)
    X[:, :24] = factor * np.random.default_rng(1).standard_normal((200, 24))
    y = np.array([label == "dog" for label in labels], np.int64)
    p = fit_baseline(X[:100], y[:100], BLOCKS)(X[100:])
    np.testing.assert_allclose(p.sum(axis=1), 1)
    return float(np.mean(p.argmax(axis=1) == y[100:]))


def test_a_loud_block_of_noise_does_not_drown_a_quiet_one() -> None:
    assert learnt(1000.0) == pytest.approx(learnt(1.0))
    assert learnt(1000.0) > 0.8


def test_a_rare_class_weighs_as_much_as_a_common_one() -> None:
    labels = ("cat",) * 190 + ("dog",) * 10
    y = np.repeat([0, 1], [190, 10])
    X = vectors(labels, 1.5)
    p = fit_baseline(X, y, BLOCKS)(vectors(labels, 1.5))
    assert np.mean(p.argmax(axis=1)[y == 1] == 1) > 0.9


def test_a_constant_block_is_left_out() -> None:
    labels = alternating(("cat", "dog"), 20)
    X = vectors(labels, 2.0)
    X[:, :24] = 3
    y = np.tile([0, 1], 20)
    assert np.isfinite(fit_baseline(X, y, BLOCKS)(X)).all()
