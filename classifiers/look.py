"""A quick look at a space before anything is trained: can plain methods tell the classes apart?

The folds, the figures and their intervals are those of a head; what is learnt is cheaper. Knows
nothing of trees and mixtures.

    nearest_neighbours    votes of the nearest by cosine, on the penultimate vector
    lda                   discriminant analysis with the shrinkage of Ledoit and Wolf (2004, Journal
                          of Multivariate Analysis 88), on the penultimate vector
    logistic_regression   on every column: the very opponent that a head's card shows
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from classifiers.baseline import fit_baseline
from classifiers.blocks import Scaling, choose_blocks
from classifiers.errors import LabelProblems, SpaceMismatch
from classifiers.evaluation import SIGNIFICANCE
from classifiers.examples import Examples, arrange, digests_of
from classifiers.folds import Fold, Plan
from classifiers.label_set import LabelSet, part
from classifiers.labels import Problem, ask, check
from classifiers.lesson import Copied, find_copied, keep_together
from classifiers.linear import reduce_columns
from classifiers.parallel import Tick, one_blas_thread, run_jobs
from classifiers.recipe import Recipe
from classifiers.scored import Pass, Scored, cv_sharing
from classifiers.statistics import Estimate, auc, balanced_accuracy
from classifiers.tasks import Question

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

Verdict = Literal["signal", "no_signal", "too_few"]

NEIGHBOURS = 9
"""As good as any number from 5 to 15 on the image sets of the benchmark."""

USEFUL_AUC = 0.65
"""Below this AUC there is too little in a space to build on."""

METHODS = {
    "nearest_neighbours": "nearest neighbours",
    "lda": "LDA",
    "logistic_regression": "logistic regression",
}
"""Each method and what people call it."""

AT_MOST = 1_000
"""Images that are looked at: more would make the look slow, and the answer hardly surer."""

_TIES = 1e-3
_RIDGE = 1e-9


@dataclass(frozen=True, slots=True)
class Glance:
    """What one method reached out of fold; `auc` is None where no two classes ever met."""

    auc: Estimate | None
    balanced_accuracy: Estimate


@dataclass(frozen=True, slots=True)
class Look:
    """What a quick look found.

    Attributes:
        n_images: that were looked at: at most `AT_MOST`, none of the test split.
        classes: in the order of their numbers.
        plan: the folds.
        methods: what each method reached, by name.
        verdict: "signal" if one of them beats chance (at 5 %, corrected for having tried several);
            "no_signal" if none does and every interval ends below `USEFUL_AUC`; else "too_few".
    """

    n_images: int
    classes: tuple[str, ...]
    plan: Plan
    methods: Mapping[str, Glance]
    verdict: Verdict

    @property
    def best(self) -> str:
        """The method with the highest AUC."""
        areas = {name: glance.auc for name, glance in self.methods.items()}
        return max(areas, key=lambda name: -1.0 if areas[name] is None else areas[name].value)  # type: ignore[union-attr]

    @property
    def words(self) -> str:
        """The verdict in a sentence or two."""
        area = self.methods[self.best].auc
        if self.verdict == "signal" and area is not None:
            return (
                f"Signal: {METHODS[self.best]} tells these classes apart with an AUC of "
                f"{area.value:.2f} ({area.low:.2f} to {area.high:.2f}). A head is worth training."
            )
        if self.verdict == "no_signal":
            return (
                "No signal in this space: no plain method does better than chance on these "
                f"{self.n_images} images, and an AUC of {USEFUL_AUC:.2f} can be ruled out. Another "
                "backbone may see what this one does not."
            )
        least = "" if area is None else f", and an AUC of {area.high:.2f} cannot be ruled out"
        return f"Too few images to tell: no plain method does better than chance{least}."


def look(
    X: Float32,
    label_set: LabelSet,
    *,
    blocks: Sequence[tuple[str, int, int]],
    seed: int = 0,
    threads: int = 1,
    copied: Copied | None = None,
) -> Look:
    """Cross-validate the plain methods on the folds on which a head would be.

    Args:
        X: float32 (n_images, width), a row per image of the label set, raw values.
        label_set: the question; images of split "test" are not looked at, nor more than `sample`
            takes.
        blocks: (name, start, stop) of every column block of X, the penultimate vector first.
        seed: of the folds.
        threads: folds at once.
        copied: images that are held out together; None looks for them in X.

    Raises:
        LabelProblems: if the label set has errors, or is not one of classes or grades, or X has
            values that are no numbers.
        SpaceMismatch: if X has not the columns of `blocks`, or not a row per image.
    """
    question = asked_of(label_set)
    recipe = Recipe(seed=seed)
    scaling = Scaling(choose_blocks(blocks, recipe.blocks), recipe.normalisation)
    if len(X) != len(label_set):
        raise SpaceMismatch(f"{len(label_set)} rows", f"{len(X)} rows")
    rows = sample(label_set)
    width = max(stop for _, _, stop in blocks)
    seen = part(label_set, rows)
    train = arrange(X[rows], seen, question, scaling, width).train
    if copied is None:
        copied = find_copied(X[rows], seen, blocks)
    row_of = {digest: row for row, digest in enumerate(digests_of(seen))}
    copies = [[row_of[digest] for digest in one if digest in row_of] for one in copied]
    complete = recipe.complete(len(train), scaling.n_columns, question.n_outputs)
    train, plan = keep_together(train, copies, complete, question)
    with one_blas_thread():
        jobs = [_job(train, scaling, fold, question) for fold in plan.folds]
        found = run_jobs(jobs, threads, lambda _: None)
    methods = {
        name: _glance(train, question, plan, [one[name] for one in found]) for name in METHODS
    }
    return Look(len(train), question.classes, plan, methods, _verdict(list(methods.values())))


def asked_of(label_set: LabelSet) -> Question:
    """Return what labels ask that a look can answer.

    Raises:
        LabelProblems: if the label set has errors, or is not one of classes or grades.
    """
    check(label_set)
    question = ask(label_set)
    if question.exclusive:
        return question
    what = "numbers" if question.is_number else "several labels per image"
    detail = f"Only classes and grades are looked at and compared, not {what}; learn a head."
    raise LabelProblems([Problem("task_misfit", detail)])


def sample(label_set: LabelSet) -> list[int]:
    """Return the rows that a look takes: at most `AT_MOST`, rare classes whole.

    Within a class the lowest digests come first, which is as good as by lot; a sample of the sample
    is the sample.
    """
    taken: dict[str, int] = {}
    ranked = []
    for row in sorted(range(len(label_set)), key=lambda row: label_set.digests[row]):
        if not label_set.is_test(row):
            rank = taken[label_set.labels[row]] = taken.get(label_set.labels[row], 0) + 1
            ranked.append((rank, row))
    return sorted(row for _, row in sorted(ranked)[:AT_MOST])


def _job(
    train: Examples, scaling: Scaling, fold: Fold, question: Question
) -> Callable[[Tick], dict[str, Float64]]:
    learnt, held_out = fold
    n_classes = len(question.classes)

    def run(tick: Tick) -> dict[str, Float64]:
        vectors, y = scaling.first(train.Z).astype(np.float64), train.y[learnt]
        near = _nearest(vectors[learnt], y, vectors[held_out], n_classes)
        lda = _lda(vectors[learnt], y, vectors[held_out], n_classes)
        tick(0.5)
        plain = fit_baseline(train.Z[learnt], train.targets[learnt], question, scaling.blocks)
        logistic = plain(train.Z[held_out])
        return dict(zip(METHODS, (near, lda, logistic), strict=True))

    return run


def _nearest(known: Float64, y: IntArray, asked: Float64, n_classes: int) -> Float64:
    """Return float64 (n_asked, n_classes): each class's share of the votes, rows sum to 1."""
    cosines = np.maximum(asked @ known.T, 0)
    member = np.eye(n_classes)[y]
    size = member.sum(axis=0)
    nearest = np.argsort(-cosines, axis=1, kind="stable")[:, :NEIGHBOURS]
    weights = np.take_along_axis(cosines, nearest, axis=1)
    # A common class has more neighbours everywhere: classes weigh the same, as for a head.
    votes = np.einsum("ik,ikc->ic", weights, member[nearest]) / size
    # Nine votes tie often: the mean similarity to the class decides then.
    votes += _TIES * (cosines @ member) / size**2
    total = votes.sum(axis=1, keepdims=True)
    return np.where(total > 0, votes / np.where(total > 0, total, 1), 1 / n_classes)


def _lda(known: Float64, y: IntArray, asked: Float64, n_classes: int) -> Float64:
    """Return float64 (n_asked, n_classes): probabilities where classes are equally common."""
    from scipy.special import softmax
    from sklearn.covariance import ledoit_wolf

    centre = known.mean(axis=0)
    reduced = reduce_columns(known - centre)
    means = np.stack([reduced.rows[y == number].mean(axis=0) for number in range(n_classes)])
    covariance = ledoit_wolf(reduced.rows - means[y], assume_centered=True)[0]
    covariance += _RIDGE * np.eye(len(covariance))
    directions = np.linalg.solve(covariance, means.T)
    offsets = 0.5 * np.sum(means.T * directions, axis=0)
    scores = ((asked - centre) @ reduced.back) @ directions - offsets
    return np.asarray(softmax(scores, axis=1))


def _glance(train: Examples, question: Question, plan: Plan, found: Sequence[Float64]) -> Glance:
    passes, place = [], iter(found)
    for folds in plan.repeats:
        fold_of = np.zeros(len(train), np.int64)
        probabilities = np.zeros((len(train), found[0].shape[1]))
        for number, (_, held_out) in enumerate(folds):
            fold_of[held_out] = number
            probabilities[held_out] = next(place)
        passes.append(Pass(fold_of, probabilities))
    sharing = cv_sharing(plan.n_folds, len(plan.repeats))
    scored = Scored(question, train.targets, train.groups, tuple(passes), sharing)
    return Glance(auc(scored), balanced_accuracy(scored))


def _verdict(glances: Sequence[Glance]) -> Verdict:
    areas = [glance.auc for glance in glances if glance.auc is not None]
    if any(area.p_value * len(glances) < SIGNIFICANCE for area in areas):
        return "signal"
    ruled_out = bool(areas) and all(area.high < USEFUL_AUC for area in areas)
    return "no_signal" if ruled_out else "too_few"
