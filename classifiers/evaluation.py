"""How good a head is on images it has not seen, beside a plain opponent on the same folds.

Knows nothing of LightGBM and of what a mixture is made of.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from classifiers.baseline import fit_baseline
from classifiers.blocks import Block
from classifiers.folds import Fold, Plan
from classifiers.mixture import Choice, Mixture, Scores, choose, cross_fitted, voters
from classifiers.parallel import Tick, run_jobs
from classifiers.probabilities import to_probabilities
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


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What cross-validation found.

    Attributes:
        metrics: "auc" and "balanced_accuracy" of the head.
        baseline: the same of the logistic regression.
        p_value: one-sided, of an AUC this good by chance.
        probabilities: float64 (n_images, n_classes), out of fold, mean over the repeats.
        choice: what the mixture of all images should be.
        scored: the head's out-of-fold probabilities repeat by repeat, to compare with another's.
    """

    metrics: dict[str, Measure]
    baseline: dict[str, Measure]
    p_value: float
    probabilities: Float64
    choice: Choice
    scored: Scored

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
    mixture: Mixture,
    threads: int = 1,
    report: Callable[[float], None] = lambda _: None,
) -> Evaluation:
    """Cross-validate a mixture and the baseline on the same folds.

    Args:
        Z: float32 (n_images, n_columns), scaled row by row.
        y: int64 (n_images,), class numbers from 0.
        groups: int64 (n_images,), images of one group are not independent.
        blocks: side by side in Z.
        plan: the folds.
        mixture: of these images.
        threads: how many folds are learnt at once; the result does not depend on it.
        report: called with the share done; what it raises stops the evaluation.
    """
    jobs = [_job(Z, y, fold, blocks, mixture) for fold in plan.folds]
    found = run_jobs(jobs, threads, report)
    sharing = cv_sharing(plan.n_folds, len(plan.repeats))
    repeats = [_gather(y.size, folds, part) for folds, part in _by_repeat(plan, found)]
    n_outputs = np.array([mixture.targets.shape[1]])
    head, opponent = [], []
    for fold_of, scores, opposed in repeats:
        crossed = to_probabilities(cross_fitted(scores, mixture, fold_of), n_outputs)
        head.append(Pass(fold_of, crossed))
        opponent.append(Pass(fold_of, opposed))
    scored = Scored(y, groups, tuple(head), sharing)
    figures = _figures(scored)
    mean = {
        part: np.mean([scores[part] for _, scores, _ in repeats], axis=0) for part in repeats[0][1]
    }
    return Evaluation(
        metrics=_measures(figures),
        baseline=_measures(_figures(Scored(y, groups, tuple(opponent), sharing))),
        p_value=figures["auc"].p_value,
        probabilities=np.mean([one.probabilities for one in head], axis=0),
        choice=choose(mean, mixture, voters(plan.n_folds, np.arange(y.size))),
        scored=scored,
    )


def measure_test(probabilities: Float64, y: IntArray, groups: IntArray) -> dict[str, Measure]:
    """Return the metrics of images that were kept aside, looked at once.

    The AUC is absent where the images kept aside are all of one class.
    """
    return _measures(_figures(Scored(y, groups, (Pass(np.zeros_like(y), probabilities),))))


_Found = tuple[Scores, Float64]
"""Of one fold's held-out images: scores of the mixture's parts, the opponent's probabilities."""


def _job(
    Z: Float32, y: IntArray, fold: Fold, blocks: Sequence[Block], mixture: Mixture
) -> Callable[[Tick], _Found]:
    learnt, held_out = fold

    def run(tick: Tick) -> _Found:
        opponent = fit_baseline(Z[learnt], y[learnt], blocks)
        tick(0.1)
        scores = mixture.score(learnt, held_out, lambda share: tick(0.1 + 0.9 * share))
        return scores, opponent(Z[held_out])

    return run


def _figures(scored: Scored) -> dict[str, Estimate]:
    area = auc(scored)
    return {
        **({"auc": area} if area is not None else {}),
        "balanced_accuracy": balanced_accuracy(scored),
    }


def _measures(figures: Mapping[str, Estimate]) -> dict[str, Measure]:
    return {name: figure.measure() for name, figure in figures.items()}


def _by_repeat(
    plan: Plan, found: Sequence[_Found]
) -> Iterator[tuple[Sequence[Fold], Sequence[_Found]]]:
    start = 0
    for folds in plan.repeats:
        yield folds, found[start : start + len(folds)]
        start += len(folds)


def _gather(
    n_images: int, folds: Sequence[Fold], found: Sequence[_Found]
) -> tuple[IntArray, Scores, Float64]:
    """Put what the folds of one repeat found back into the order of images."""
    fold_of = np.zeros(n_images, np.int64)
    first_scores, first_opposed = found[0]
    opposed = np.zeros((n_images, first_opposed.shape[1]))
    scores = {
        part: np.zeros((part_scores.shape[0], n_images, part_scores.shape[2]))
        for part, part_scores in first_scores.items()
    }
    for number, ((_, held_out), (fold_scores, fold_opposed)) in enumerate(
        zip(folds, found, strict=True)
    ):
        fold_of[held_out] = number
        opposed[held_out] = fold_opposed
        for part, part_scores in fold_scores.items():
            scores[part][:, held_out] = part_scores
    return fold_of, scores, opposed
