"""How good a head is on images it has not seen, beside a plain opponent on the same folds.

Knows nothing of LightGBM: what learns is handed in.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from classifiers.baseline import fit_baseline
from classifiers.blocks import Block
from classifiers.folds import Fold, Plan
from classifiers.parallel import Tick, run_jobs
from classifiers.statistics import (
    Estimate,
    Measure,
    Pass,
    Scored,
    auc,
    balanced_accuracy,
    cv_sharing,
)

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

SIGNIFICANCE = 0.05
"""A head has signal if chance would give its AUC, or a better one, more rarely than this."""

Scorer = Callable[[Float32], Float64]
"""Columns in, probabilities out: float64 (n_images, n_classes)."""

Learner = Callable[[Float32, IntArray, Tick], Scorer]
"""Fits a head to columns and class numbers, ticking as it goes."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What cross-validation found.

    Attributes:
        metrics: "auc" and "balanced_accuracy" of the head.
        baseline: the same of the logistic regression.
        p_value: one-sided, of an AUC this good by chance.
        probabilities: float64 (n_images, n_classes), out of fold, mean over the repeats.
    """

    metrics: dict[str, Measure]
    baseline: dict[str, Measure]
    p_value: float
    probabilities: Float64

    @property
    def signal(self) -> bool:
        """Say whether the head knows anything: its AUC is better than chance would give."""
        return self.p_value < SIGNIFICANCE


def evaluate(
    Z: Float32,
    y: IntArray,
    groups: IntArray,
    *,
    blocks: Sequence[Block],
    plan: Plan,
    learner: Learner,
    threads: int = 1,
    report: Callable[[float], None] = lambda _: None,
) -> Evaluation:
    """Cross-validate a learner and the baseline on the same folds.

    Args:
        Z: float32 (n_images, n_columns), scaled row by row.
        y: int64 (n_images,), class numbers from 0.
        groups: int64 (n_images,), images of one group are not independent.
        blocks: side by side in Z.
        plan: the folds.
        learner: what is evaluated; it sees nothing of the images held out.
        threads: how many folds are learnt at once; the result does not depend on it.
        report: called with the share done; what it raises stops the evaluation.
    """
    jobs = [_job(Z, y, fold, blocks, learner) for fold in plan.folds]
    found = run_jobs(jobs, threads, report)
    sharing = cv_sharing(plan.n_folds, len(plan.repeats))
    head, opponent = (
        Scored(y, groups, _passes(plan, [pair[which] for pair in found]), sharing)
        for which in (0, 1)
    )
    figures = _figures(head)
    return Evaluation(
        metrics=_measures(figures),
        baseline=_measures(_figures(opponent)),
        p_value=figures["auc"].p_value,
        probabilities=np.mean([one.probabilities for one in head.passes], axis=0),
    )


def measure_test(probabilities: Float64, y: IntArray, groups: IntArray) -> dict[str, Measure]:
    """Return the metrics of images that were kept aside, looked at once.

    The AUC is absent where the images kept aside are all of one class.
    """
    return _measures(_figures(Scored(y, groups, (Pass(np.zeros_like(y), probabilities),))))


def _job(
    Z: Float32, y: IntArray, fold: Fold, blocks: Sequence[Block], learner: Learner
) -> Callable[[Tick], tuple[Float64, Float64]]:
    learnt, held_out = fold

    def run(tick: Tick) -> tuple[Float64, Float64]:
        opponent = fit_baseline(Z[learnt], y[learnt], blocks)
        tick(0.1)
        head = learner(Z[learnt], y[learnt], lambda share: tick(0.1 + 0.9 * share))
        return head(Z[held_out]), opponent(Z[held_out])

    return run


def _figures(scored: Scored) -> dict[str, Estimate]:
    area = auc(scored)
    return {
        **({"auc": area} if area is not None else {}),
        "balanced_accuracy": balanced_accuracy(scored),
    }


def _measures(figures: Mapping[str, Estimate]) -> dict[str, Measure]:
    return {name: figure.measure() for name, figure in figures.items()}


def _passes(plan: Plan, scores: Sequence[Float64]) -> tuple[Pass, ...]:
    remaining = iter(scores)
    passes = []
    for folds in plan.repeats:
        n_images = sum(held_out.size for _, held_out in folds)
        fold_of = np.zeros(n_images, np.int64)
        probabilities = np.zeros((n_images, scores[0].shape[1]))
        for number, (_, held_out) in enumerate(folds):
            fold_of[held_out] = number
            probabilities[held_out] = next(remaining)
        passes.append(Pass(fold_of, probabilities))
    return tuple(passes)
