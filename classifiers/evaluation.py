"""How good a head is on images it has not seen, beside a plain opponent on the same folds.

Knows nothing of LightGBM: what learns is handed in.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from classifiers.baseline import fit_baseline
from classifiers.blocks import Block
from classifiers.folds import Fold, Plan
from classifiers.parallel import Tick, run_jobs
from classifiers.statistics import Estimate, Measure, Pass, Scored, auc, balanced_accuracy, cv_sharing

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

SIGNIFICANCE = 0.05
"""A head has signal if chance would give its AUC, or a better one, more rarely than this."""

Scorer = Callable[[Float32], Float64]


class Learner(Protocol):
    """Fits a head to columns and classes, and returns its probabilities as a function."""

    def __call__(self, Z: Float32, y: IntArray, tick: Tick) -> Scorer: ...


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


def evaluate(  # noqa: PLR0913  the data, and how to learn from them
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

    def job(fold: Fold) -> Callable[[Tick], tuple[Float64, Float64]]:
        learnt, held_out = fold

        def run(tick: Tick) -> tuple[Float64, Float64]:
            opponent = fit_baseline(Z[learnt], y[learnt], blocks)
            tick(0.1)
            head = learner(Z[learnt], y[learnt], lambda share: tick(0.1 + 0.9 * share))
            return head(Z[held_out]), opponent(Z[held_out])

        return run

    found = run_jobs([job(fold) for fold in plan.folds], threads, report)
    sharing = cv_sharing(plan.n_folds, len(plan.repeats))
    head, opponent = (
        Scored(y, groups, _passes(plan, [pair[which] for pair in found]), sharing)
        for which in (0, 1)
    )
    value = _auc(head)
    return Evaluation(
        metrics={"auc": value.measure(), "balanced_accuracy": balanced_accuracy(head).measure()},
        baseline={
            "auc": _auc(opponent).measure(),
            "balanced_accuracy": balanced_accuracy(opponent).measure(),
        },
        p_value=value.p_value,
        probabilities=np.mean([one.probabilities for one in head.passes], axis=0),
    )


def measure_test(probabilities: Float64, y: IntArray, groups: IntArray) -> dict[str, Measure]:
    """Return the metrics of images that were kept aside, looked at once.

    The AUC is absent where the images kept aside are all of one class.
    """
    scored = Scored(y, groups, (Pass(np.zeros_like(y), probabilities),))
    value = auc(scored)
    metrics = {"balanced_accuracy": balanced_accuracy(scored).measure()}
    return metrics if value is None else {"auc": value.measure(), **metrics}


def _auc(scored: Scored) -> Estimate:
    value = auc(scored)
    if value is None:
        raise ValueError("a plan must hold images of two classes out together")
    return value


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
