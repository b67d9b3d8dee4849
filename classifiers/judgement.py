"""What out-of-fold probabilities say of a head: calibration, prediction sets, confusion.

Knows no vector and no model.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pydantic import with_config

from classifiers.calibration import (
    Bin,
    Calibration,
    calibration_error,
    cross_calibrated,
    fit_calibration,
    keep_together,
    reliability,
)
from classifiers.conformal import SetRule, fit_set_rule
from classifiers.examples import Examples
from classifiers.strict import STRICT

Float64 = npt.NDArray[np.float64]


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class Calibrated:
    """How probabilities were calibrated, and what that did out of fold.

    Attributes:
        rule: what was chosen.
        error_before: expected calibration error of raw probabilities.
        error_after: of calibrated ones, each calibrated without itself.
        reliability_before: the reliability curve of raw probabilities.
        reliability: of calibrated ones.
    """

    rule: Calibration
    error_before: float
    error_after: float
    reliability_before: tuple[Bin, ...]
    reliability: tuple[Bin, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Judgement:
    """What was found.

    Attributes:
        calibrated: how probabilities are calibrated.
        sets: the rule of prediction sets.
        confusion: images by true class (row) and likeliest class (column).
        probabilities: float64 (n_images, n_classes), out of fold, each calibrated without itself.
    """

    calibrated: Calibrated
    sets: SetRule
    confusion: tuple[tuple[int, ...], ...]
    probabilities: Float64

    def scale_and_shifts(self, n_outputs: int) -> tuple[float, Float64]:
        """The calibration as a change of scores: scale * score + shifts, one an output."""
        rule = self.calibrated.rule
        shifts = np.array(rule.shifts or [0.0] * max(n_outputs, 2))
        return rule.scale, np.array([shifts[1] - shifts[0]]) if n_outputs == 1 else shifts


def judge(p: Float64, examples: Examples, coverage: float) -> Judgement:
    """Calibrate out-of-fold probabilities, and derive the rule of prediction sets.

    Args:
        p: float64 (n_images, n_classes), out of fold, rows sum to 1.
        examples: the images, whose groups are kept together.
        coverage: how often a prediction set should hold the true label.
    """
    y = examples.y
    rule = fit_calibration(p, y, examples.groups)
    crossed = cross_calibrated(p, y, keep_together(examples.groups), rule.method)
    confusion = np.zeros((p.shape[1], p.shape[1]), np.int64)
    np.add.at(confusion, (y, crossed.argmax(axis=1)), 1)
    calibrated = Calibrated(
        rule,
        calibration_error(p, y),
        calibration_error(crossed, y),
        reliability(p, y),
        reliability(crossed, y),
    )
    sets = fit_set_rule(crossed, y, examples.groups, coverage)
    return Judgement(calibrated, sets, tuple(map(tuple, confusion.tolist())), crossed)
