"""Prediction sets hold the truth of new images as often as the band says, for the head itself."""

import numpy as np
import pytest
from made_heads import alternating, taught, vectors

from classifiers import Recipe
from classifiers.examples import Examples
from classifiers.judgement import held_by_class, judge
from classifiers.tasks import Question

LEARNT, NEW_IMAGES = 24, 2_000
BINARY = Question("binary", ("no", "yes"))


def examples(y: np.ndarray) -> Examples:
    targets = y[:, None].astype(np.float64)
    Z = np.zeros((len(y), 1), np.float32)
    return Examples(Z, targets, y, np.arange(len(y)), groups_known=False)


def test_a_head_sharper_than_its_folds_has_sets_of_its_own_sharpness() -> None:
    rng = np.random.default_rng(0)
    y = np.arange(2 * NEW_IMAGES) % 2
    blunt = (2 * y - 1 + rng.standard_normal(len(y)))[:, None]
    sharp = 5 * blunt
    known, new = np.arange(NEW_IMAGES), np.arange(NEW_IMAGES, len(y))
    judged = judge(
        BINARY.answers(blunt[known]), sharp[None, known], examples(y[known]), BINARY, 0.9
    )
    said = BINARY.answers(judged.scales * sharp[new] + judged.shifts)
    held = judged.sets.members(said)[np.arange(len(new)), y[new]].mean()
    assert held == pytest.approx(0.9, abs=0.02)


def test_the_sets_that_are_counted_by_class_are_those_of_the_rule() -> None:
    y = np.arange(200) % 2
    scores = (4.0 * y - 2 + np.random.default_rng(0).standard_normal(200))[:, None]
    judged = judge(BINARY.answers(-scores), scores[None], examples(y), BINARY, 0.9)
    held = sum(held_by_class(judged, examples(y), BINARY).values())
    assert 0.9 <= held / len(y) <= 0.92


def test_intervals_of_numbers_are_made_from_the_head_s_own_mixture() -> None:
    values = np.linspace(0, 1, 100)
    of_numbers = Examples(
        np.zeros((100, 1), np.float32),
        values[:, None],
        np.zeros(100, np.int64),
        np.arange(100),
        groups_known=False,
    )
    off = values[:, None] + 0.25
    judged = judge(values[:, None], off[None], of_numbers, Question("regression", ()), 0.9)
    assert judged.sets.margin == pytest.approx(0.25)


def realised(seed: int) -> bool:
    """Whether the share of new images whose set holds their class lies in the band of the card."""
    labels = alternating(("no", "yes"), (LEARNT + NEW_IMAGES) // 2)
    X = vectors(labels, 0.47, seed)
    recipe = Recipe(seed=seed, report="fast")
    head = taught(X[:LEARNT], labels[:LEARNT], recipe=recipe, allow_no_signal=True)
    rule = head.card.sets
    truth = np.arange(NEW_IMAGES) % 2
    held = rule.members(head.answers(X[LEARNT:]))[np.arange(NEW_IMAGES), truth].mean()
    return bool(rule.low <= held <= rule.high)


def test_realised_coverage_lies_in_the_band_of_the_card() -> None:
    assert sum(realised(seed) for seed in range(24)) >= 21
