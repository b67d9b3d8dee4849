"""How good a head is on images it has not seen, beside a plain opponent on the same folds.

Knows nothing of LightGBM and of what a mixture is made of.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from classifiers.agreement import kappa, mean_absolute_error, r_squared, spearman
from classifiers.baseline import fit_baseline
from classifiers.blocks import Block
from classifiers.choosing import choose, cross_fitted
from classifiers.examples import Examples
from classifiers.folds import Fold, Plan
from classifiers.mixture import TREES, Choice, Mixture, Scores
from classifiers.parallel import Tick, run_jobs
from classifiers.permutation import PERMUTATIONS, permutation_p
from classifiers.scored import Pass, Scored, cv_sharing
from classifiers.statistics import CHANCE_AUC, Estimate, Measure, auc, balanced_accuracy
from classifiers.tasks import Question, Task
from classifiers.voting import Votes, is_nested, nested_votes, voters, votes_of

Float64 = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

SIGNIFICANCE = 0.05
"""A head has signal if chance would do as well more rarely than this."""

OUTER_WORK = 0.8
"""Share of the work before choices are made, where they have fits of their own."""

Metric = Callable[[Scored], Estimate | None]

_OF_CLASSES: Mapping[str, Metric] = {"auc": auc, "balanced_accuracy": balanced_accuracy}

METRICS: Mapping[Task, Mapping[str, Metric]] = {
    "binary": _OF_CLASSES,
    "multiclass": _OF_CLASSES,
    "multilabel": _OF_CLASSES,
    "ordinal": {"auc": auc, "kappa": kappa, "mean_absolute_error": mean_absolute_error},
    "regression": {
        "spearman": spearman,
        "r2": r_squared,
        "mean_absolute_error": mean_absolute_error,
    },
}
"""What each task is judged by; the first one leads: it says whether there is signal."""


@dataclass(frozen=True, slots=True, eq=False)
class Repeat:
    """One pass of the cross-validation.

    Attributes:
        folds: rows learnt from and rows held out of each.
        fold_of: int64 (n_images,), which fold held each image out.
        linear: scores of held-out images by the linear parts.
        votes: for each fold, what its choices among the linear parts are made from.
    """

    folds: Sequence[Fold]
    fold_of: IntArray
    linear: Scores
    votes: Sequence[Votes]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What cross-validation found.

    Attributes:
        metrics: of the head, by name, the leading one first.
        label_auc: of several labels, each one's own AUC, by its name; otherwise empty.
        baseline: the same as `metrics`, of the regression.
        p_value: how often chance does as well, by `permutation`.
        permutations: of the labels, that say so.
        above_chance: whether the leading metric is better than a head's that knows nothing.
        answers: float64 (n_images, n_answers), out of fold, mean over the repeats.
        choice: what the mixture of all images should be.
        scores: float64 (n_repeats, n_images, n_outputs), out of fold, mixed by that one choice.
        scored: the head's out-of-fold answers repeat by repeat, to compare with another's.
        repeats: what the learning curve starts from.
    """

    metrics: dict[str, Measure]
    label_auc: dict[str, Measure]
    baseline: dict[str, Measure]
    p_value: float
    permutations: int
    above_chance: bool
    answers: Float64
    choice: Choice
    scores: Float64
    scored: Scored
    repeats: tuple[Repeat, ...]

    @property
    def signal(self) -> bool:
        """Say whether the head knows anything: it is better than chance, and not by chance."""
        return self.above_chance and self.p_value < SIGNIFICANCE


def evaluate(
    examples: Examples,
    *,
    blocks: Sequence[Block],
    plan: Plan,
    mixture: Mixture,
    permutations: int = PERMUTATIONS,
    seed: int = 0,
    threads: int = 1,
    report: Callable[[float], None] = lambda _: None,
) -> Evaluation:
    """Cross-validate a mixture and the baseline on the same folds.

    Args:
        examples: the images; those of one group are not independent.
        blocks: side by side in their columns.
        plan: the folds.
        mixture: of these images.
        permutations: of the labels, that tell signal from chance.
        seed: of the permutations.
        threads: how many folds are learnt at once; the result does not depend on it.
        report: called with the share done; what it raises stops the evaluation.
    """
    jobs = [_job(examples, fold, blocks, mixture) for fold in plan.folds]
    found = run_jobs(jobs, threads, lambda share: report(OUTER_WORK * share))
    n, question = len(examples), mixture.question
    repeats = [_gather(n, folds, part) for folds, part in _by_repeat(plan, found)]
    votes = _votes(examples, plan, mixture, repeats, threads, report)
    scored, opponent = _scored(examples, plan, mixture, repeats, votes)
    figures = _figures(scored)
    mean = _mean([scores for _, scores, _ in repeats])
    every = np.arange(n)
    choice = choose(mean, mixture, voters(plan.n_folds, every))
    return Evaluation(
        metrics=_measures(figures),
        label_auc=_of_each_label(scored),
        baseline=_measures(_figures(opponent)),
        p_value=_p_of(examples, mixture, permutations, seed),
        permutations=permutations,
        above_chance=_above_chance(figures, question),
        answers=np.mean([one.answers for one in scored.passes], axis=0),
        choice=choice,
        scores=np.stack([mixture.in_units(choice.apply(of, every)) for _, of, _ in repeats]),
        scored=scored,
        repeats=tuple(
            _linear(folds, fold_of, scores, own)
            for folds, (fold_of, scores, _), own in zip(plan.repeats, repeats, votes, strict=True)
        ),
    )


def leading(question: Question) -> str:
    """Return the name of the metric that says whether there is signal."""
    return next(iter(METRICS[question.task]))


def _above_chance(figures: Mapping[str, Estimate], question: Question) -> bool:
    found = figures.get(leading(question))
    return found is not None and found.value > (0.0 if question.is_number else CHANCE_AUC)


def measure_test(answers: Float64, examples: Examples, question: Question) -> dict[str, Measure]:
    """Return the metrics of images that were kept aside, looked at once.

    Figures that are unknown are absent: the AUC where the images kept aside are all of one class,
    those of numbers where they are all equal or of one group.
    """
    once = Pass(np.zeros(len(examples), np.int64), answers)
    return _measures(_figures(Scored(question, examples.targets, examples.groups, (once,))))


_Found = tuple[Scores, Float64]
"""Of one fold's held-out images: scores of the mixture's parts, the opponent's answers."""

_Gathered = tuple[IntArray, Scores, Float64]
"""Of one repeat: each image's fold, the parts' scores, the opponent's answers."""


def _job(
    examples: Examples, fold: Fold, blocks: Sequence[Block], mixture: Mixture
) -> Callable[[Tick], _Found]:
    learnt, held_out = fold
    Z, targets = examples.Z, examples.targets

    def run(tick: Tick) -> _Found:
        opponent = fit_baseline(Z[learnt], targets[learnt], mixture.question, blocks)
        tick(0.1)
        scores = mixture.score(learnt, held_out, lambda share: tick(0.1 + 0.9 * share))
        return scores, opponent(Z[held_out])

    return run


def _votes(
    examples: Examples,
    plan: Plan,
    mixture: Mixture,
    repeats: Sequence[_Gathered],
    threads: int,
    report: Callable[[float], None],
) -> list[list[Votes]]:
    """What is chosen from, for each fold of each repeat."""
    if not is_nested(plan.n_folds, examples.groups):
        return [votes_of(scores, fold_of) for fold_of, scores, _ in repeats]
    known = [scores for _, scores, _ in repeats]
    rest = (threads, lambda share: report(OUTER_WORK + (1 - OUTER_WORK) * share))
    return nested_votes(mixture, examples.y, plan.repeats, known, *rest)


def _scored(
    examples: Examples,
    plan: Plan,
    mixture: Mixture,
    repeats: Sequence[_Gathered],
    votes: Sequence[Sequence[Votes]],
) -> tuple[Scored, Scored]:
    """What the head, and what its opponent, answered out of fold."""
    question = mixture.question
    head = tuple(
        Pass(fold_of, question.answers(cross_fitted(scores, mixture, fold_of, own)))
        for (fold_of, scores, _), own in zip(repeats, votes, strict=True)
    )
    opponent = tuple(Pass(fold_of, opposed) for fold_of, _, opposed in repeats)
    rest = (examples.targets, examples.groups)
    sharing = cv_sharing(plan.n_folds, len(plan.repeats))
    return Scored(question, *rest, head, sharing), Scored(question, *rest, opponent, sharing)


def _p_of(examples: Examples, mixture: Mixture, permutations: int, seed: int) -> float:
    return permutation_p(
        mixture.views,
        mixture.targets,
        examples.groups,
        squared=mixture.question.is_number,
        permutations=permutations,
        seed=seed,
    )


def _mean(repeats: Sequence[Scores]) -> Scores:
    return {part: np.mean([each[part] for each in repeats], axis=0) for part in repeats[0]}


def _linear(
    folds: Sequence[Fold], fold_of: IntArray, scores: Scores, votes: Sequence[Votes]
) -> Repeat:
    linear = {part: each for part, each in scores.items() if part != TREES}
    return Repeat(folds, fold_of, linear, [each.without(TREES) for each in votes])


def _figures(scored: Scored) -> dict[str, Estimate]:
    metrics = METRICS[scored.question.task]
    found = {name: metric(scored) for name, metric in metrics.items()}
    return {name: figure for name, figure in found.items() if figure is not None}


def _of_each_label(scored: Scored) -> dict[str, Measure]:
    if scored.question.task != "multilabel":
        return {}
    found = {name: auc(scored, outputs=[k]) for k, name in enumerate(scored.question.classes)}
    return _measures({name: figure for name, figure in found.items() if figure is not None})


def _measures(figures: Mapping[str, Estimate]) -> dict[str, Measure]:
    return {name: figure.measure() for name, figure in figures.items()}


def _by_repeat(
    plan: Plan, found: Sequence[_Found]
) -> Iterator[tuple[Sequence[Fold], Sequence[_Found]]]:
    start = 0
    for folds in plan.repeats:
        yield folds, found[start : start + len(folds)]
        start += len(folds)


def _gather(n_images: int, folds: Sequence[Fold], found: Sequence[_Found]) -> _Gathered:
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
