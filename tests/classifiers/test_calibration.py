"""Calibration helps where there is something to mend, and leaves alone what it cannot mend."""

import numpy as np
import pytest

from classifiers.calibration import (
    Calibration,
    calibration_error,
    fit_calibration,
    log_loss,
    reliability,
)


def world(
    rng: np.random.Generator, n: int, n_classes: int = 2, boldness: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities sharpened by `boldness`, and labels drawn from the honest ones."""
    logits = rng.normal(size=(n, n_classes)) * 1.5
    honest = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    y = (honest.cumsum(1) < rng.random((n, 1))).sum(1)
    claimed = honest**boldness
    return claimed / claimed.sum(1, keepdims=True), y


@pytest.mark.parametrize("n_classes", [2, 4])
def test_bold_probabilities_are_softened(n_classes: int) -> None:
    rng = np.random.default_rng(n_classes)
    p, y = world(rng, 400, n_classes, boldness=3)
    calibration = fit_calibration(p, y, np.arange(400) % 5)
    assert calibration.scale == pytest.approx(1 / 3, rel=0.3)
    p, y = world(rng, 20_000, n_classes, boldness=3)
    assert calibration_error(calibration.apply(p), y) < 0.4 * calibration_error(p, y)
    assert calibration.apply(p).sum(1) == pytest.approx(np.ones(20_000))


def test_honest_probabilities_are_hardly_ever_made_worse() -> None:
    rng = np.random.default_rng(0)
    losses = []
    for _ in range(30):
        calibration = fit_calibration(*world(rng, 40), np.arange(40) % 5)
        p, y = world(rng, 5_000)
        losses.append(log_loss(calibration.apply(p), y) - log_loss(p, y))
    assert np.mean(losses) < 0.01
    assert np.quantile(losses, 0.8) < 0.02


def test_a_shift_between_classes_is_mended() -> None:
    rng = np.random.default_rng(5)
    p, y = world(rng, 500)
    shifted = p * [1.0, 8.0]
    shifted /= shifted.sum(1, keepdims=True)
    calibration = fit_calibration(shifted, y, np.arange(500) % 5)
    assert calibration.method == "affine"
    assert log_loss(calibration.apply(shifted), y) < log_loss(p, y) + 0.01


def test_the_order_of_images_is_kept_for_two_classes() -> None:
    p, y = world(np.random.default_rng(2), 300, boldness=3)
    calibrated = fit_calibration(p, y, np.arange(300) % 5).apply(p)
    assert np.argsort(calibrated[:, 1]).tolist() == np.argsort(p[:, 1]).tolist()


def test_the_reliability_curve_holds_the_truth_in_its_intervals() -> None:
    p, y = world(np.random.default_rng(3), 5_000)
    curve = reliability(p, y)
    assert len(curve) == 10
    assert sum(b["low"] <= b["claimed"] <= b["high"] for b in curve) >= 8
    assert sum(b["images"] for b in curve) == 5_000


def test_a_scale_that_is_not_positive_is_refused() -> None:
    with pytest.raises(ValueError, match="positive"):
        Calibration("temperature", -1.0)


def test_answers_that_happen_to_be_all_right_are_not_made_surer() -> None:
    """Of twenty images without a mistake nothing shows that the next is no mistake."""
    rng = np.random.default_rng(2)
    for _ in range(20):
        y = np.arange(20) % 2
        own = rng.uniform(0.9, 0.999, 20)
        p = np.where(np.arange(2) == y[:, None], own[:, None], 1 - own[:, None])
        assert fit_calibration(p, y, np.arange(20)).scale <= 1
