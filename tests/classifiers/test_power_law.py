"""A power law is found again from its points, and admits what they leave open."""

import numpy as np
import pytest

from classifiers.power_law import fit_law

SHARES = np.array([0.5, 0.25, 0.125, 0.0625])


def points(gap: float, exponent: float) -> np.ndarray:
    return np.asarray(gap * (1 - SHARES**-exponent))


@pytest.mark.parametrize(("gap", "exponent"), [(0.05, 0.7), (0.15, 0.5), (0.1, 1.0), (0.02, 0.4)])
def test_what_twice_the_images_bring_is_foretold(gap: float, exponent: float) -> None:
    law = fit_law(SHARES, points(gap, exponent), np.full(4, 0.002), 0.2)
    value, low, high = law.gain(2.0)
    assert value == pytest.approx(gap * (1 - 2**-exponent), abs=0.01)
    assert low <= gap * (1 - 2**-exponent) <= high


def test_points_that_do_not_rise_promise_nothing() -> None:
    value, low, high = fit_law(SHARES, np.zeros(4), np.full(4, 0.002), 0.3).gain(2.0)
    assert 0 <= low <= value < 0.01
    assert high < 0.02


def test_noise_widens_the_band_and_only_points_that_are_sure_count() -> None:
    def width(error: float) -> float:
        _, low, high = fit_law(SHARES, points(0.1, 0.7), np.full(4, error), 0.3).gain(2.0)
        return high - low

    assert width(0.001) < width(0.03) < width(0.3)
    changes = points(0.02, 0.7)
    changes[3] -= 0.3
    unsure = fit_law(SHARES, changes, np.array([0.001, 0.001, 0.001, 1.0]), 0.3).gain(2.0)[0]
    assert unsure == pytest.approx(
        fit_law(SHARES[:3], changes[:3], np.full(3, 0.001), 0.3).gain(2.0)[0], abs=0.002
    )


def test_today_is_where_the_law_starts_and_no_gain_passes_what_is_left() -> None:
    law = fit_law(SHARES, points(0.2, 1.0), np.full(4, 0.01), 0.01)
    assert law.gain(1.0) == (0.0, 0.0, 0.0)
    assert law.gain(1e9)[2] <= 0.01
