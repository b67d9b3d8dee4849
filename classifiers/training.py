"""Vectors and labels in, a head out: a pure function of its arguments.

Knows nothing of images, folders or HTTP.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from classifiers import boosting
from classifiers.asked import AUTO
from classifiers.baseline import fit_baseline
from classifiers.card import Card
from classifiers.curve import Growth
from classifiers.errors import NoSignal
from classifiers.evaluation import Evaluation, evaluate, leading, measure_test
from classifiers.examples import describe_numbers
from classifiers.growth import measure_growth
from classifiers.head import Head
from classifiers.judgement import Judgement, held_by_class, judge
from classifiers.labels import LabelSet
from classifiers.lesson import Copied, Lesson, prepare
from classifiers.limits import Facts, describe_limits, describe_unknown
from classifiers.mixture import Mixed, Mixture
from classifiers.novelty import NoveltySize, fit_novelty, unit_rows
from classifiers.parallel import Tick, one_blas_thread, run_jobs
from classifiers.permutation import FAST_PERMUTATIONS, PERMUTATIONS
from classifiers.recipe import Recipe
from classifiers.trees import canonical

Float32 = npt.NDArray[np.float32]

Progress = Callable[[str, float], None]
"""Told a stage and the share of the whole that is done; what it raises stops the learning.

Stages: "checking labels", "evaluating", "drawing the learning curve", "fitting", "judging", "done".
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
    task: str = AUTO,
    order: Sequence[str] = (),
    author: str = "",
    allow_no_signal: bool = False,
    progress: Progress | None = None,
    threads: int = 1,
    created: str | None = None,
) -> Head:
    """Evaluate and train a head. Images of split "test" are looked at once, at the very end.

    Equal images, labels and recipes give equal heads, whatever the order of rows and the threads.

    Args:
        X: float32 (n_images, width), a row per image of the label set, raw values.
        label_set: what to learn; images of split "test" are looked at once, after all else.
        name: what the card calls the head.
        space_id: of the vectors.
        blocks: (name, start, stop) of every column block of X.
        recipe: how to learn.
        task: "auto" (from the labels, `asked.find_question`) or one of `tasks.Task`.
        order: of grades that are no numbers, lowest first.
        author: for the card.
        allow_no_signal: return a head that learnt nothing, whose card says so.
        progress: told what is happening, several times a second.
        threads: folds learnt at once.
        created: RFC 3339 time for the card; now if None.

    Raises:
        LabelProblems: if the label set has errors, or X values that are no numbers.
        SpaceMismatch: if X has not the columns of `blocks`, or not a row per image.
        BadRecipe: if the recipe does not suit X.
        NoSignal: if nothing was learnt and that is not allowed.
    """
    tell = progress or _silent
    lesson = _checked(X, label_set, (task, order), blocks, recipe, tell)
    given = (name, author, space_id, created or _now())
    with one_blas_thread():
        return _taught(lesson, given, threads, tell, allow_no_signal=allow_no_signal)


def assess(
    X: Float32,
    label_set: LabelSet,
    *,
    blocks: Sequence[tuple[str, int, int]],
    recipe: Recipe = DEFAULT,
    progress: Progress | None = None,
    threads: int = 1,
    copied: Copied | None = None,
) -> Evaluation:
    """Evaluate a head without making it; images of split "test" are not looked at.

    The arguments, what is raised and the figures are those of `learn`; `copied` are images that are
    held out together, and None looks for them in X.
    """
    tell = progress or _silent
    lesson = _checked(X, label_set, (AUTO, ()), blocks, recipe, tell, copied)
    with one_blas_thread():
        return _evaluate(lesson, lesson.mixture(), threads, tell)


def _taught(
    lesson: Lesson,
    given: tuple[str, str, str, str],
    threads: int,
    tell: Progress,
    *,
    allow_no_signal: bool,
) -> Head:
    mixture = lesson.mixture()
    evaluation = _evaluate(lesson, mixture, threads, tell)
    found = (evaluation.answers, evaluation.scores)
    judged = judge(*found, lesson.train, lesson.question, lesson.recipe.coverage)
    card = _describe(lesson, evaluation, judged, given)
    card = replace(card, growth=_grow(lesson, mixture, evaluation, threads, tell))
    if not card.signal and not allow_no_signal:
        raise NoSignal(card, leading(lesson.question))
    return _finish(lesson, mixture, evaluation, judged, card, tell)


def _checked(
    X: Float32,
    label_set: LabelSet,
    asked: tuple[str, Sequence[str]],
    blocks: Sequence[tuple[str, int, int]],
    recipe: Recipe,
    tell: Progress,
    copied: Copied | None = None,
) -> Lesson:
    tell("checking labels", 0.0)
    return prepare(X, label_set, asked, blocks, recipe, copied)


def _evaluate(lesson: Lesson, mixture: Mixture, threads: int, tell: Progress) -> Evaluation:
    return evaluate(
        lesson.train,
        blocks=lesson.scaling.blocks,
        plan=lesson.plan,
        mixture=mixture,
        permutations=FAST_PERMUTATIONS if lesson.recipe.report == "fast" else PERMUTATIONS,
        seed=lesson.recipe.seed,
        threads=threads,
        report=lambda share: tell("evaluating", 0.02 + 0.63 * share),
    )


def _grow(
    lesson: Lesson, mixture: Mixture, evaluation: Evaluation, threads: int, tell: Progress
) -> Growth | None:
    if lesson.recipe.report == "fast":
        return None

    def report(share: float) -> None:
        tell("drawing the learning curve", 0.65 + 0.15 * share)

    parts = (mixture, lesson.train, lesson.plan, evaluation)
    return measure_growth(*parts, seed=lesson.recipe.seed, threads=threads, report=report)


def _describe(
    lesson: Lesson, evaluation: Evaluation, judged: Judgement, given: tuple[str, str, str, str]
) -> Card:
    name, author, space_id, created = given
    question, plan = lesson.question, lesson.plan
    return Card(
        name=name,
        author=author,
        space_id=space_id,
        created=created,
        width=lesson.width,
        fingerprint=lesson.fingerprint,
        warnings=lesson.warnings,
        task=question.task,
        classes=question.classes,
        blocks=lesson.scaling.blocks,
        n_images=len(lesson.train),
        class_counts=question.count(lesson.train.targets),
        values=describe_numbers(lesson.train.targets[:, 0]) if question.is_number else None,
        n_groups=lesson.train.n_groups,
        n_copies=lesson.n_copies,
        n_test_images=len(lesson.test),
        metrics=evaluation.metrics,
        label_auc=evaluation.label_auc,
        metrics_test={},
        baseline=evaluation.baseline,
        baseline_test={},
        signal=evaluation.signal,
        p_value=evaluation.p_value,
        permutations=evaluation.permutations,
        folds={
            "kind": plan.kind,
            "folds": plan.n_folds,
            "repeats": len(plan.repeats),
            "reason": plan.reason,
        },
        recipe=lesson.recipe,
        shares=evaluation.choice.members,
        tree_factors=(0.0,) * question.n_outputs,
        calibration=judged.calibrated,
        sets=judged.sets,
        confusion=judged.confusion,
        growth=None,
        novelty=NoveltySize(0, 0),
        lightgbm=boosting.version(),
        limits=_limits(lesson, evaluation, judged),
    )


def _limits(lesson: Lesson, evaluation: Evaluation, judged: Judgement) -> tuple[str, ...]:
    question, train = lesson.question, lesson.train
    facts = Facts(
        question=question,
        class_counts=question.count(train.targets),
        n_images=len(train),
        n_groups=train.n_groups,
        plan=lesson.plan,
        signal=evaluation.signal,
        metrics=evaluation.metrics,
        baseline=evaluation.baseline,
        leading=leading(question),
        fast=lesson.recipe.report == "fast",
        coverage=judged.sets.coverage,
        held=held_by_class(judged, train, question),
    )
    return describe_limits(facts)


def _finish(
    lesson: Lesson,
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
    units = unit_rows(lesson.scaling.first(lesson.train.Z))
    novelty = fit_novelty(units, lesson.train.groups, lesson.recipe.seed)
    arrays: dict[str, npt.NDArray[Any]] = {
        "out_of_fold": judged.answers.astype(np.float32),
        "truth": lesson.train.targets,
        # Calibration is linear in the score, so it costs nothing to carry it out here for good.
        "linear": (judged.scales[:, None] * mixed.linear.T).astype(np.float32),
        "intercept": judged.scales * mixed.intercept + judged.shifts,
        "column_means": lesson.train.Z.mean(axis=0, dtype=np.float64).astype(np.float32),
        **{f"novelty_{name}": array for name, array in novelty.to_arrays().items()},
    }
    text = canonical(mixed.text)
    factors = tuple((judged.scales * mixed.tree_factor).tolist())
    complete = replace(card, tree_factors=factors, novelty=novelty.size)
    head = Head.assemble(complete, text, arrays)
    if len(lesson.test):
        head = Head.assemble(_tested(head, lesson), text, arrays)
    tell("done", 1.0)
    return head


def _tested(head: Head, lesson: Lesson) -> Card:
    """Return the card with the figures of the images kept aside, which nothing saw before."""
    train, test, question = lesson.train, lesson.test, lesson.question
    opponent = fit_baseline(train.Z, train.targets, question, lesson.scaling.blocks)(test.Z)
    found = measure_test(head.answers_of(test.Z), test, question)
    return replace(
        head.card,
        limits=(*head.card.limits, *describe_unknown(question, found)),
        metrics_test=found,
        baseline_test=measure_test(opponent, test, question),
    )


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _silent(stage: str, share: float) -> None:
    """Tell nobody."""
