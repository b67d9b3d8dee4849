"""What a reader must know before trusting a head, in plain sentences. Knows nothing of vectors."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from classifiers.folds import Plan
from classifiers.statistics import Measure
from classifiers.tasks import Question, Task

SMALL_CLASS = 50
"""Images of a class under which its figures are called uncertain."""

FEW_GROUPS = 20
"""Groups under which the intervals rest on little."""

FEWEST_USUAL = 19
"""Images from which one can be called unlike them: of n the strangest has a usualness of
1 / (n + 1), and 0.05 is what is called unlike."""

UNEQUAL = 1.5
"""Ratio of the commonest to the rarest class from which probabilities need a word."""

FAR_BELOW = 0.15
"""By how much a class must miss the coverage for a word."""

RARE = 10
"""Ratio from which the rarest class needs a word."""


_OF_CLASSES = {"auc": "AUC"}
_CALLED: Mapping[Task, Mapping[str, str]] = {
    "binary": _OF_CLASSES,
    "multiclass": _OF_CLASSES,
    "multilabel": _OF_CLASSES,
    "ordinal": {**_OF_CLASSES, "kappa": "quadratic kappa"},
    "regression": {
        "spearman": "rank correlation",
        "r2": "R²",
        "mean_absolute_error": "mean absolute error",
    },
}
"""Figures that images may be unable to give."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What the sentences are made from.

    `held`: of classes that exclude each other, how many images had theirs in their prediction set.
    """

    question: Question
    n_images: int
    leading: str
    class_counts: Mapping[str, int]
    n_groups: int | None
    plan: Plan
    signal: bool
    metrics: Mapping[str, Measure]
    baseline: Mapping[str, Measure]
    fast: bool = False
    coverage: float = 0.9
    held: Mapping[str, int] = field(default_factory=dict)


def describe_limits(facts: Facts) -> tuple[str, ...]:
    """Return the limits of a head as sentences, the gravest first."""
    learnt_from = (_signal, _groups, _size, _unknown, _usual, _balance, _sets)
    describers = (*learnt_from, _baseline, _numbers, _fast, _everywhere)
    return tuple(sentence for describe in describers for sentence in describe(facts))


def describe_unknown(
    question: Question,
    found: Mapping[str, Measure],
    images: str = "The images of the test split",
) -> Iterator[str]:
    """Say which figures images could not give.

    Args:
        question: what is asked.
        found: figures of those images.
        images: what they are called.
    """
    unknown = [called for name, called in _CALLED[question.task].items() if name not in found]
    if unknown:
        yield (
            f"{images} cannot tell the {' and the '.join(unknown)}: they are too few, all alike in "
            "what they are labelled, or all of one group."
        )


def describe_few(class_counts: Mapping[str, int], n_groups: int | None) -> Iterator[str]:
    """Say what the images that a head was tried on leave open.

    Args:
        class_counts: those images, by class.
        n_groups: of them; None where none is known.
    """
    if n_groups is None:
        yield (
            "No groups (patients, slides) were given. If several images come from one, the "
            "intervals are too narrow."
        )
    elif n_groups < FEW_GROUPS:
        yield f"They are of {'1 group' if n_groups == 1 else f'{n_groups} groups'} only."
    if absent := [repr(name) for name, count in class_counts.items() if not count]:
        yield f"None of them is {', '.join(absent)}: nothing is known of that."
    few = [f"{name!r} ({n})" for name, n in class_counts.items() if 0 < n < SMALL_CLASS]
    if few:
        yield f"Few of them are {', '.join(few)}: read the intervals, not the figures."


def _signal(facts: Facts) -> Iterator[str]:
    if not facts.signal:
        yield (
            "This head learnt nothing that it could show on images it had not seen. "
            "Its answers are not to be used."
        )


def _groups(facts: Facts) -> Iterator[str]:
    if facts.plan.reason:
        yield f"It could not be evaluated group by group: {facts.plan.reason}."
    if facts.n_groups is None:
        yield (
            "No groups (patients, slides) were given. If several images come from one, the figures "
            "are too good."
        )
    elif facts.n_groups < FEW_GROUPS:
        groups = "1 group" if facts.n_groups == 1 else f"{facts.n_groups} groups"
        yield f"It learnt from {groups} only; another group may be unlike them all."


def _size(facts: Facts) -> Iterator[str]:
    if facts.question.is_number:
        if facts.n_images < 2 * SMALL_CLASS:
            yield f"It learnt from {facts.n_images} images: read the intervals, not the figures."
        return
    label = min(facts.class_counts, key=lambda name: facts.class_counts[name])
    count = facts.class_counts[label]
    if count < SMALL_CLASS:
        yield (
            f"The smallest class, {label!r}, has {count} images: read the intervals, not the "
            "figures."
        )


def _unknown(facts: Facts) -> Iterator[str]:
    return describe_unknown(facts.question, facts.metrics, "The images it learnt from")


def _usual(facts: Facts) -> Iterator[str]:
    if facts.n_images < FEWEST_USUAL:
        yield (
            "It never calls an image unlike those it learnt from, whatever it shows: for that it "
            f"would need {FEWEST_USUAL} images."
        )


def _balance(facts: Facts) -> Iterator[str]:
    counts = facts.class_counts
    if facts.question.task == "multilabel":
        yield (
            "Its probabilities are for images among which each label is as frequent as among "
            "those it learnt from. Where a label is rarer, it is less likely than they say."
        )
    if not facts.question.exclusive:
        return
    label = min(counts, key=lambda name: counts[name])
    ratio = max(counts.values()) / counts[label]
    if ratio >= UNEQUAL:
        yield (
            "Its probabilities are for images among which the classes are as frequent as among "
            "those it learnt from. Where a class is rarer, it is less likely than they say."
        )
    if ratio >= RARE:
        yield f"{label!r} is {ratio:.0f} times rarer than the commonest class."


def _sets(facts: Facts) -> Iterator[str]:
    shares = {name: held / facts.class_counts[name] for name, held in facts.held.items()}
    label = min(shares, key=shares.__getitem__, default=None)
    if label is not None and shares[label] < facts.coverage - FAR_BELOW:
        yield (
            f"Its prediction sets hold the truth in {100 * facts.coverage:.0f} % of images of all "
            f"classes together, not of each: of {facts.class_counts[label]} images of {label!r}, "
            f"{facts.held[label]} had it in their set."
        )


def _baseline(facts: Facts) -> Iterator[str]:
    own, plain = facts.metrics[facts.leading], facts.baseline.get(facts.leading)
    if plain is not None and plain["value"] > own["high"]:
        kind, name = ("ridge", "correlation") if facts.question.is_number else ("logistic", "AUC")
        yield (
            f"A plain {kind} regression did better on the same folds: "
            f"{name} {plain['value']:.2f}, not {own['value']:.2f}."
        )


def _numbers(facts: Facts) -> Iterator[str]:
    if facts.question.is_number:
        yield (
            "Numbers beyond those it learnt from are guesses, and its interval is as wide for "
            "every image: where images differ in how hard they are, it is too wide for the easy "
            "ones and too narrow for the hard ones."
        )


def _fast(facts: Facts) -> Iterator[str]:
    if facts.fast:
        yield (
            "It was evaluated the fast way: once, and without a learning curve. Learn it again "
            "with the full report before others rely on it."
        )


def _everywhere(_: Facts) -> Iterator[str]:
    yield (
        "The figures are for images like the ones it learnt from; with another device, place or "
        "group of people they may be lower."
    )
