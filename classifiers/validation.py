"""External validation: how a head does on labelled images that it never saw, from wherever.

What is promised out of fold holds for images like those learnt from; this is for the others. Knows
nothing of how heads are learnt.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from classifiers.calibration import calibration_error
from classifiers.conformal import SetRule
from classifiers.copies import find_copies
from classifiers.difference import unpaired_difference
from classifiers.evaluation import leading, measure_test
from classifiers.examples import Examples, arrange, digests_of
from classifiers.head import Head
from classifiers.judgement import claims, confusion
from classifiers.label_set import LabelSet, part
from classifiers.limits import describe_few, describe_unknown
from classifiers.novelty import ALARM_RATE, unit_rows
from classifiers.scored import Pass, Scored
from classifiers.statistics import CHANCE_AUC, Measure, estimate
from classifiers.tasks import Question, TaskMisfit, is_number, split_label

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]

MANY_UNLIKE = 0.15
"""Share of images called unlike from which that is said: three times what is usual."""

_CALLED = {"auc": "AUC", "spearman": "rank correlation"}


@dataclass(frozen=True, slots=True)
class Validation:
    """What was found.

    Attributes:
        n_images: that it was tried on.
        n_groups: of them; None where none is known.
        class_counts: images tried, by class or label.
        metrics: as of `Card.metrics`; figures that these images cannot tell are absent.
        metric: the name of the leading one.
        stated: the same as the card has them: of its test split, or out of fold.
        change: the leading one here less the stated one, with its interval; None if unknown.
        confusion: images by true class (row) and likeliest class (column); empty where classes do
            not exclude each other.
        held: share of the truths that lay in their prediction set, or interval.
        calibration_error: expected, of its probabilities here; None of numbers.
        unlike: share of the images that it calls unlike those it learnt from.
        words: what that amounts to.
        limits: what to mind, in sentences.
    """

    n_images: int
    n_groups: int | None
    class_counts: dict[str, int]
    metrics: dict[str, Measure]
    metric: str
    stated: dict[str, Measure]
    change: Measure | None
    confusion: tuple[tuple[int, ...], ...]
    held: Measure
    calibration_error: float | None
    unlike: float
    words: str
    limits: tuple[str, ...]


def can_be_asked(question: Question, label: str) -> bool:
    """Say whether a head of this question could have learnt an image with this label."""
    if question.is_number:
        return is_number(label)
    try:
        named = split_label(label) if question.task == "multilabel" else (label,)
    except TaskMisfit:
        return False
    return set(named) <= set(question.classes)


def validate(head: Head, X: Float32, label_set: LabelSet, learnt: Float32) -> Validation | None:
    """Try a head on images that it never saw; None if all of them are copies of those it did.

    Args:
        head: what is tried.
        X: float32 (n_images, width), a row per image of the label set, raw values.
        label_set: each image once, with labels that `can_be_asked`; splits are not looked at.
        learnt: float32 (n, width), images that it learnt from, as many as are at hand; those that
            are nearly the same as one of them are left out.

    Raises:
        SpaceMismatch: if X has not the columns of the head.
        LabelProblems: if X has values that are no numbers.
    """
    card, question = head.card, head.card.question
    label_set = LabelSet(label_set.digests, label_set.labels, label_set.groups)
    examples = _unseen(head, X, label_set, learnt)
    if not len(examples):
        return None
    answers = head.answers_of(examples.Z)
    name = leading(question)
    metrics = measure_test(answers, examples, question)
    stated = card.metrics_test if name in card.metrics_test else card.metrics
    units = unit_rows(card.scaling.first(examples.Z))
    unlike = float(np.mean(head.novelty.p_value(units) <= ALARM_RATE))
    counts = question.count(examples.targets)
    held = _held(answers, examples, question, card.sets)
    return Validation(
        n_images=len(examples),
        n_groups=examples.n_groups,
        class_counts=counts,
        metrics=metrics,
        metric=name,
        stated=dict(stated),
        change=unpaired_difference(metrics[name], stated[name]) if name in metrics else None,
        confusion=confusion(answers, examples.y) if question.exclusive else (),
        held=held,
        calibration_error=(
            None if question.is_number else calibration_error(*claims(answers, examples, question))
        ),
        unlike=unlike,
        words=_words(question, metrics.get(name), stated[name]),
        limits=(
            *describe_unknown(question, metrics, "These images"),
            *describe_few(counts, examples.n_groups),
            *_strangers(unlike),
            *_missed(held, card.sets),
        ),
    )


def _unseen(head: Head, X: Float32, label_set: LabelSet, learnt: Float32) -> Examples:
    """The images less copies of those learnt from, with copies among them kept together."""
    card = head.card
    every = arrange(X, label_set, card.question, card.scaling, card.width).train
    digests = digests_of(label_set)
    Z = np.concatenate([every.Z, card.scaling.scale(learnt)])
    sets = [one.rows for one in find_copies(card.scaling.details(Z))]
    own = len(digests)
    seen = {digests[row] for one in sets if max(one) >= own for row in one if row < own}
    rows = [row for row, digest in enumerate(label_set.digests) if digest not in seen]
    rest = part(label_set, rows)
    examples = arrange(X[rows], rest, card.question, card.scaling, card.width).train
    place = {digest: row for row, digest in enumerate(digests_of(rest))}
    together = [
        [place[digests[row]] for row in one if row < own and digests[row] in place] for one in sets
    ]
    return examples.keeping_together(together)


def _held(answers: Float64, examples: Examples, question: Question, sets: SetRule) -> Measure:
    """The share of truths in their sets: of several labels, of all labels that images have."""
    n = len(examples)
    if question.is_number:
        margin = np.inf if sets.margin is None else sets.margin
        truths, held = np.ones(n), abs(answers[:, 0] - examples.targets[:, 0]) <= margin
    else:
        inside = sets.members(answers, ordered=question.task == "ordinal")
        has = examples.targets > 0
        if question.exclusive:
            has = examples.y[:, None] == np.arange(len(question.classes))
        truths, held = has.sum(axis=1), (inside & has).sum(axis=1)
    total = max(1, int(truths.sum()))
    value = float(held.sum()) / total
    scored = Scored(question, examples.targets, examples.groups, (_once(answers),))
    influence = (held - value * truths) / total
    found = estimate(scored, value, influence, lambda at: at * (1 - at) / total, 1.0, CHANCE_AUC)
    return found.measure()


def _once(answers: Float64) -> Pass:
    return Pass(np.zeros(len(answers), np.int64), answers)


def _words(question: Question, found: Measure | None, stated: Measure) -> str:
    called, chance = _CALLED[leading(question)], 0.0 if question.is_number else CHANCE_AUC
    if found is None:
        return "These images cannot tell how good the head is here."
    here, there = (
        f"{one['value']:.2f} ({one['low']:.2f} to {one['high']:.2f})" for one in (found, stated)
    )
    figures = f"{called} {here} here, {there} where it learnt"
    if found["low"] <= chance:
        return f"Nothing here shows that it knows anything: {figures}; chance is {chance:.2f}."
    change = unpaired_difference(found, stated)
    if change["high"] < 0:
        return f"It is worse here than where it learnt: {figures}."
    most = max(0.0, -change["low"])
    return f"No worse here, as far as these images can tell: {figures}. It may be {most:.2f} worse."


def _strangers(unlike: float) -> Iterator[str]:
    if unlike > MANY_UNLIKE:
        yield (
            f"{100 * unlike:.0f} % of these images are unlike those it learnt from, to the head; "
            f"{100 * ALARM_RATE:.0f} % would be usual."
        )


def _missed(held: Measure, sets: SetRule) -> Iterator[str]:
    # So many images to calibrate on promise no more than a band.
    low, high = min(sets.low, sets.coverage), max(sets.high, sets.coverage)
    if held["high"] < low:
        yield (
            f"Its prediction sets hold the truth in {100 * held['value']:.0f} % of these images "
            f"({100 * held['low']:.0f} to {100 * held['high']:.0f} %), not in "
            f"{100 * sets.coverage:.0f} % ({100 * low:.0f} to {100 * high:.0f} %): its "
            "probabilities do not fit them."
        )
