"""What out-of-fold answers say of a head: calibration, prediction sets, confusion.

Knows no vector and no model.
"""

from dataclasses import dataclass
from typing import TypeVar

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
from classifiers.conformal import SetRule, fit_label_rule, fit_margin, fit_set_rule
from classifiers.examples import Examples
from classifiers.probabilities import doubted, log_odds
from classifiers.strict import STRICT
from classifiers.tasks import Question

Float64 = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

Kind = TypeVar("Kind", bound=np.generic)

HALF = 0.5


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class Calibrated:
    """How probabilities were calibrated, and what that did out of fold.

    Attributes:
        rules: what was chosen: one for classes; of several labels and of grades one an output.
        error_before: expected calibration error of raw probabilities; of several labels, of all
            their probabilities together.
        error_after: of calibrated ones, each calibrated without itself.
        reliability_before: the reliability curve of raw probabilities.
        reliability: of calibrated ones.
        doubt: the share of an even guess in every probability, raw or calibrated: of n images or
            groups that are all answered rightly, Laplace's rule of succession makes 1 in n + 2 that
            the next one is not.

    Raises:
        ValueError: the doubt is no share.
    """

    rules: tuple[Calibration, ...]
    error_before: float
    error_after: float
    reliability_before: tuple[Bin, ...]
    reliability: tuple[Bin, ...]
    doubt: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.doubt < 1:
            raise ValueError("the doubt of a calibration must be a share")

    @property
    def methods(self) -> tuple[str, ...]:
        """What changes the probabilities; empty if nothing does."""
        return tuple(sorted({rule.method for rule in self.rules} - {"none"}))


@dataclass(frozen=True, slots=True, eq=False)
class Judgement:
    """What was found.

    Attributes:
        calibrated: how probabilities are calibrated; None for numbers.
        scales, shifts: float64 (n_outputs,), the calibration as a change of scores:
            scale * score + shift.
        sets: the rule of prediction sets, or of the interval.
        confusion: images by true class (row) and likeliest class (column); empty where classes do
            not exclude each other.
        answers: float64 (n_images, n_answers), out of fold, each calibrated without itself.
        as_head: float64 (n_repeats, n_images, n_answers), out of fold, mixed and calibrated as the
            head itself does it: what the rule of prediction sets is made from.
    """

    calibrated: Calibrated | None
    scales: Float64
    shifts: Float64
    sets: SetRule
    confusion: tuple[tuple[int, ...], ...]
    answers: Float64
    as_head: Float64


@dataclass(frozen=True, slots=True, eq=False)
class _Change:
    """Rules, the change of scores that they amount to, and the answers after it."""

    rules: tuple[Calibration, ...]
    scales: Float64
    shifts: Float64
    answers: Float64


def judge(
    answers: Float64, scores: Float64, examples: Examples, question: Question, coverage: float
) -> Judgement:
    """Calibrate out-of-fold answers, and derive the rule of prediction sets.

    Sets are made from `scores`: a head is sharper or blunter than its folds by what was chosen for
    each, and sets at a threshold of theirs would hold the truth too rarely or too often.

    Args:
        answers: float64 (n_images, n_answers), out of fold.
        scores: float64 (n_repeats, n_images, n_outputs), out of fold, mixed as the head mixes.
        examples: the images, whose groups are kept together.
        question: what was asked.
        coverage: how often a prediction set should hold the truth.
    """
    targets, groups = examples.targets, examples.groups
    ones, zeros = np.ones(question.n_outputs), np.zeros(question.n_outputs)
    if question.is_number:
        sets = fit_margin(scores.reshape(-1), *_often(len(scores), targets[:, 0], groups), coverage)
        return Judgement(None, ones, zeros, sets, (), answers, scores)
    if question.task in ("binary", "multiclass"):
        change = _of_classes(answers, examples, question)
    else:
        change = _of_outputs(answers, examples, question)
    doubt = 1 / (len(np.unique(groups)) + 2)
    among = len(question.classes) if question.exclusive else 2
    raw, given = (doubted(p, doubt, among) for p in (answers, change.answers))
    before, after = (claims(p, examples, question) for p in (raw, given))
    if calibration_error(*after) > calibration_error(*before):
        # Each output gained and all together lost, or it was the doubt that was needed.
        rules = (Calibration(),) * len(change.rules)
        change, given, after = _Change(rules, ones, zeros, answers), raw, before
    mixed = (change.scales * scores + change.shifts).reshape(-1, question.n_outputs)
    said = doubted(question.answers(mixed), doubt, among)
    if question.exclusive:
        sets = fit_set_rule(said, *_often(len(scores), examples.y, groups), coverage)
    else:
        sets = fit_label_rule(said, *_often(len(scores), targets > 0, groups), coverage)
    return Judgement(
        _calibrated(change.rules, doubt, before, after),
        change.scales,
        change.shifts,
        sets,
        confusion(given, examples.y) if question.exclusive else (),
        given,
        said.reshape(*scores.shape[:2], -1),
    )


def held_by_class(judged: Judgement, examples: Examples, question: Question) -> dict[str, int]:
    """How many images of each class had it in their set; empty where classes do not exclude.

    Of several repeats, in half of them at least.
    """
    if not question.exclusive:
        return {}
    y = examples.y
    ordered = question.task == "ordinal"
    members = np.mean([judged.sets.members(p, ordered=ordered) for p in judged.as_head], axis=0)
    held = members[np.arange(len(y)), y] >= HALF
    counts = np.bincount(y[held], minlength=len(question.classes))
    return dict(zip(question.classes, counts.tolist(), strict=True))


def _often(
    times: int, truth: npt.NDArray[Kind], groups: IntArray
) -> tuple[npt.NDArray[Kind], IntArray]:
    """Truth and groups of images, so many times: a group's weight does not depend on it."""
    return np.concatenate([truth] * times), np.tile(groups, times)


def _calibrated(
    rules: tuple[Calibration, ...],
    doubt: float,
    before: tuple[Float64, IntArray],
    after: tuple[Float64, IntArray],
) -> Calibrated:
    return Calibrated(
        rules,
        calibration_error(*before),
        calibration_error(*after),
        reliability(*before),
        reliability(*after),
        doubt,
    )


def _of_classes(p: Float64, examples: Examples, question: Question) -> _Change:
    """One rule for all classes."""
    rule, crossed = _fitted(p, examples.y, examples.groups)
    shifts = np.array(rule.shifts or [0.0] * p.shape[1])
    n_outputs = question.n_outputs
    shifts = np.array([shifts[1] - shifts[0]]) if n_outputs == 1 else shifts
    return _Change((rule,), np.full(n_outputs, rule.scale), shifts, crossed)


def _of_outputs(answers: Float64, examples: Examples, question: Question) -> _Change:
    """A rule for each output, which is a yes or a no of its own."""
    rules, said = [], []
    for yes, truth in zip(question.ranked(answers).T, examples.targets.T, strict=True):
        both = np.stack([1 - yes, yes], axis=1)
        rule, crossed = _fitted(both, truth.astype(np.int64), examples.groups)
        rules.append(rule)
        said.append(crossed[:, 1])
    return _Change(
        tuple(rules),
        np.array([rule.scale for rule in rules]),
        np.array([rule.shifts[1] - rule.shifts[0] if rule.shifts else 0.0 for rule in rules]),
        question.answers(log_odds(np.stack(said, axis=1))),
    )


def _fitted(p: Float64, y: IntArray, groups: IntArray) -> tuple[Calibration, Float64]:
    rule = fit_calibration(p, y, groups)
    return rule, cross_calibrated(p, y, keep_together(groups), rule.method)


def claims(p: Float64, examples: Examples, question: Question) -> tuple[Float64, IntArray]:
    """Return probabilities and class numbers that calibration is judged by.

    Of several labels, each one of each image is a claim of its own.
    """
    if question.exclusive:
        return p, examples.y
    each = p.reshape(-1)
    return np.stack([1 - each, each], axis=1), examples.targets.reshape(-1).astype(np.int64)


def confusion(p: Float64, y: IntArray) -> tuple[tuple[int, ...], ...]:
    """Return images by true class (row) and likeliest class (column).

    Args:
        p: float64 (n_images, n_classes).
        y: int64 (n_images,), class numbers.
    """
    found = np.zeros((p.shape[1], p.shape[1]), np.int64)
    np.add.at(found, (y, p.argmax(axis=1)), 1)
    return tuple(map(tuple, found.tolist()))
