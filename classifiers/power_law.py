"""How a figure grows with the number of images: a power law with a band. Knows no image, no head.

    figure(x) = today + gap * (1 - (x / n) ** -exponent)        n: today's images

Learning curves of classifiers are near a power law with a floor (Figueroa et al. 2012, BMC Medical
Informatics and Decision Making 12:8, who weigh points as is done here; Viering and Loog 2022, IEEE
TPAMI 45, who show when they are not). Few points hardly tell the gap from the exponent, so neither
is picked: every pair of a grid counts by how well it explains the points, times a prior. The prior
is flat for the gap, from nothing to all that is left; exponents are mostly between 0.2 and 1.6.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from classifiers.statistics import CONFIDENCE

Float64 = npt.NDArray[np.float64]

EXPONENTS = np.linspace(0.1, 1.6, 31)
USUAL_EXPONENT = 0.7
SPREAD_OF_EXPONENTS = 0.6
"""Standard deviation of the prior of the exponent's logarithm."""

GAPS = np.linspace(0.0, 1.0, 41)
"""Shares of what is left to a perfect figure that images without end would gain."""

MISFIT = 0.01
"""What a power law may miss a point by, beside chance."""


@dataclass(frozen=True, slots=True, eq=False)
class Law:
    """Every power law that the points leave possible, each with its probability.

    Attributes:
        exponents: float64 (n_laws,).
        gaps: float64 (n_laws,), what images without end would add to today's figure.
        weights: float64 (n_laws,), sum to 1.
    """

    exponents: Float64
    gaps: Float64
    weights: Float64

    def gain(self, times: float) -> tuple[float, float, float]:
        """What so many times today's images change: the mean, and the ends of the 95 % band."""
        gains = self.gaps * (1 - times**-self.exponents)
        order = np.argsort(gains, kind="stable")
        below = np.cumsum(self.weights[order])
        ends = np.searchsorted(below, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
        low, high = gains[order][np.minimum(ends, len(gains) - 1)]
        return float(gains @ self.weights), float(low), float(high)


def fit_law(shares: Float64, changes: Float64, errors: Float64, room: float) -> Law:
    """Weigh every law of the grid by the points.

    Args:
        shares: float64 (n_points,), of today's images, under 1.
        changes: float64 (n_points,), the figure at so many images less today's.
        errors: float64 (n_points,), standard errors of the changes.
        room: from today's figure to a perfect one.
    """
    grid = np.meshgrid(EXPONENTS, GAPS * room, indexing="ij")
    exponents, gaps = (axis.ravel() for axis in grid)
    expected = gaps[:, None] * (1 - shares ** -exponents[:, None])
    misses = (changes - expected) ** 2 / (errors**2 + MISFIT**2)
    strangeness = (np.log(exponents / USUAL_EXPONENT) / SPREAD_OF_EXPONENTS) ** 2
    logs = -0.5 * (misses.sum(axis=1) + strangeness)
    weights = np.exp(logs - logs.max())
    return Law(exponents, gaps, weights / weights.sum())
