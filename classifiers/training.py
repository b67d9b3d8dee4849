"""Vectors and labels in, a head out: a pure function of its arguments.

Knows nothing of images, folders or HTTP.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from classifiers import boosting
from classifiers.baseline import fit_baseline
from classifiers.blocks import Scaling, choose_blocks
from classifiers.card import Card
from classifiers.copies import doubts, find_copies
from classifiers.errors import BadRecipe, NoSignal
from classifiers.evaluation import Evaluation, evaluate, measure_test
from classifiers.examples import Examples, arrange
from classifiers.folds import Plan, make_plan
from classifiers.head import Head
from classifiers.judgement import Judgement, judge
from classifiers.labels import LabelSet, check, fingerprint
from classifiers.limits import Facts, describe_limits
from classifiers.mixture import Mixed, Mixture
from classifiers.novelty import NoveltySize, fit_novelty, unit_rows
from classifiers.parallel import Tick, one_blas_thread, run_jobs
from classifiers.recipe import Recipe
from classifiers.trees import canonical

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

Progress = Callable[[str, float], None]
"""Told a stage and the share of the whole that is done; what it raises stops the learning.

Stages: "checking labels", "evaluating", "fitting", "judging", "done".
"""

DEFAULT = Recipe()


def learn(  # noqa: PLR0913  a head is made of this much
    X: Float32,
    label_set: LabelSet,
    *,
    name: str,
    space_id: str,
    blocks: Sequence[tuple[str, int, int]],
    recipe: Recipe = DEFAULT,
    task: str = "auto",
    author: str = "",
    allow_no_signal: bool = False,
    progress: Progress | None = None,
    threads: int = 1,
    created: str | None = None,
) -> Head:
    """Evaluate and train a head.

    The same images, labels and recipe give the same model text, whatever the order of rows and
    the number of threads. Images of split "test" are looked at once, after everything else.

    Args:
        X: float32 (n_images, width), a row per image of the label set, raw values.
        label_set: what to learn.
        name: what the card calls the head.
        space_id: of the vectors.
        blocks: (name, start, stop) of every column block of X.
        recipe: how to learn.
        task: "auto" (from the labels), "binary" or "multiclass".
        author: for the card.
        allow_no_signal: return a head that learnt nothing, whose card says so.
        progress: told what is happening, several times a second.
        threads: folds learnt at once.
        created: RFC 3339 time for the card; now if None.

    Raises:
        LabelProblems: if the label set has errors, or X values that are no numbers.
        SpaceMismatch: if X has not the columns of `blocks`, or not a row per image.
        BadRecipe: if the recipe, or the task, does not suit the data.
        NoSignal: if nothing was learnt and that is not allowed.
    """
    tell = progress or _silent
    lesson = _prepare(X, label_set, blocks, recipe, task, tell)
    with one_blas_thread():
        mixture = lesson.mixture()
        evaluation = _evaluate(lesson, mixture, threads, tell)
        judged = judge(evaluation.probabilities, lesson.train, coverage=recipe.coverage)
        card = _describe(lesson, evaluation, judged, (name, author, space_id, created or _now()))
        if not card.signal and not allow_no_signal:
            raise NoSignal(card)
        return _finish(lesson, mixture, evaluation, judged, card, tell)


def assess(
    X: Float32,
    label_set: LabelSet,
    *,
    blocks: Sequence[tuple[str, int, int]],
    recipe: Recipe = DEFAULT,
    progress: Progress | None = None,
    threads: int = 1,
) -> Evaluation:
    """Evaluate a head without making it; images of split "test" are not looked at.

    The arguments, what is raised and the figures are those of `learn`.
    """
    tell = progress or _silent
    lesson = _prepare(X, label_set, blocks, recipe, "auto", tell)
    with one_blas_thread():
        return _evaluate(lesson, lesson.mixture(), threads, tell)


@dataclass(frozen=True, slots=True, eq=False)
class _Lesson:
    """Everything that decides what is learnt, and what the card says of it."""

    warnings: tuple[str, ...]
    fingerprint: str
    width: int
    train: Examples
    test: Examples
    classes: tuple[str, ...]
    task: Literal["binary", "multiclass"]
    scaling: Scaling
    recipe: Recipe
    plan: Plan
    n_copies: int

    def mixture(self) -> Mixture:
        """What is to be fitted, on these images."""
        train = self.train
        return Mixture(train.Z, train.y, len(self.classes), self.scaling.blocks, self.recipe)


def _prepare(
    X: Float32,
    label_set: LabelSet,
    layout: Sequence[tuple[str, int, int]],
    recipe: Recipe,
    task: str,
    tell: Progress,
) -> _Lesson:
    tell("checking labels", 0.0)
    warnings = tuple(problem.detail for problem in check(label_set))
    width = max(stop for _, _, stop in layout)
    scaling = Scaling(choose_blocks(layout, recipe.blocks), recipe.normalisation)
    sides = arrange(X, label_set, scaling, width)
    Z = np.concatenate([sides.train.Z, sides.test.Z])
    copies = [found.rows for found in find_copies(scaling.details(Z))]
    complete = recipe.complete(len(sides.train), scaling.n_columns, len(sides.classes))
    chosen = complete.to_dict()
    train = sides.train.keeping_together(copies)
    plan = make_plan(
        train.y,
        sides.train.groups if train.groups_known else None,
        chosen["folds"],
        chosen["repeats"],
        complete.seed,
        with_copies=train.groups if train.any_together else None,
    )
    return _Lesson(
        (*warnings, *doubts(label_set, copies)),
        fingerprint(label_set),
        width,
        train,
        sides.test,
        sides.classes,
        _task(task, len(sides.classes)),
        scaling,
        complete,
        plan,
        sum(map(len, copies)),
    )


def _task(task: str, n_classes: int) -> Literal["binary", "multiclass"]:
    found: Literal["binary", "multiclass"] = "binary" if n_classes == 2 else "multiclass"  # noqa: PLR2004  binary means two
    if task not in ("auto", found):
        raise BadRecipe("task", f"{task!r} does not suit {n_classes} classes; it is {found!r}")
    return found


def _evaluate(lesson: _Lesson, mixture: Mixture, threads: int, tell: Progress) -> Evaluation:
    return evaluate(
        lesson.train.Z,
        lesson.train.y,
        lesson.train.groups,
        blocks=lesson.scaling.blocks,
        plan=lesson.plan,
        mixture=mixture,
        threads=threads,
        report=lambda share: tell("evaluating", 0.02 + 0.78 * share),
    )


def _describe(
    lesson: _Lesson, evaluation: Evaluation, judged: Judgement, given: tuple[str, str, str, str]
) -> Card:
    name, author, space_id, created = given
    counts = np.bincount(lesson.train.y, minlength=len(lesson.classes)).tolist()
    class_counts = dict(zip(lesson.classes, counts, strict=True))
    groups, plan = lesson.train.n_groups, lesson.plan
    facts = Facts(
        class_counts, groups, plan, evaluation.signal, evaluation.metrics, evaluation.baseline
    )
    return Card(
        name=name,
        author=author,
        space_id=space_id,
        created=created,
        width=lesson.width,
        fingerprint=lesson.fingerprint,
        warnings=lesson.warnings,
        task=lesson.task,
        classes=lesson.classes,
        blocks=lesson.scaling.blocks,
        n_images=len(lesson.train),
        class_counts=class_counts,
        n_groups=groups,
        n_copies=lesson.n_copies,
        n_test_images=len(lesson.test),
        metrics=evaluation.metrics,
        metrics_test={},
        baseline=evaluation.baseline,
        baseline_test={},
        signal=evaluation.signal,
        p_value=evaluation.p_value,
        folds={
            "kind": plan.kind,
            "folds": plan.n_folds,
            "repeats": len(plan.repeats),
            "reason": plan.reason,
        },
        recipe=lesson.recipe,
        shares=evaluation.choice.members,
        tree_factor=0.0,
        calibration=judged.calibrated,
        sets=judged.sets,
        confusion=judged.confusion,
        novelty=NoveltySize(0, 0),
        lightgbm=boosting.version(),
        limits=describe_limits(facts),
    )


def _finish(
    lesson: _Lesson,
    mixture: Mixture,
    evaluation: Evaluation,
    judged: Judgement,
    card: Card,
    tell: Progress,
) -> Head:
    def job(tick: Tick) -> Mixed:
        return mixture.fit(evaluation.choice, tick)

    (mixed,) = run_jobs([job], 1, lambda share: tell("fitting", 0.8 + 0.14 * share))
    tell("judging", 0.95)
    scale, shifts = judged.scale_and_shifts(card.n_outputs)
    units = unit_rows(lesson.scaling.first(lesson.train.Z))
    novelty = fit_novelty(units, lesson.train.groups, lesson.recipe.seed)
    arrays: dict[str, npt.NDArray[Any]] = {
        "out_of_fold": judged.probabilities.astype(np.float32),
        "true_classes": lesson.train.y.astype(np.int32),
        # Calibration is linear in the score, so it costs nothing to carry it out here for good.
        "linear": (scale * mixed.linear.T).astype(np.float32),
        "intercept": scale * mixed.intercept + shifts,
        "column_means": lesson.train.Z.mean(axis=0, dtype=np.float64).astype(np.float32),
        **{f"novelty_{name}": array for name, array in novelty.to_arrays().items()},
    }
    text = canonical(mixed.text)
    complete = replace(card, tree_factor=scale * mixed.tree_factor, novelty=novelty.size)
    head = Head.assemble(complete, text, arrays)
    if len(lesson.test):
        head = Head.assemble(_tested(head, lesson), text, arrays)
    tell("done", 1.0)
    return head


def _tested(head: Head, lesson: _Lesson) -> Card:
    """Return the card with the figures of the images kept aside, which nothing saw before."""
    test = lesson.test
    opponent = fit_baseline(lesson.train.Z, lesson.train.y, lesson.scaling.blocks)(test.Z)
    return replace(
        head.card,
        metrics_test=measure_test(head.probabilities_of(test.Z), test.y, test.groups),
        baseline_test=measure_test(opponent, test.y, test.groups),
    )


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _silent(stage: str, share: float) -> None:
    """Tell nobody."""
