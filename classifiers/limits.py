"""What a reader must know before trusting a head, in plain sentences. Knows nothing of vectors."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from classifiers.folds import Plan
from classifiers.statistics import Measure
from classifiers.tasks import Question

SMALL_CLASS = 50
"""Images of a class under which its figures are called uncertain."""

FEW_GROUPS = 20
"""Groups under which the intervals rest on little."""

UNEQUAL = 1.5
"""Ratio of the commonest to the rarest class from which probabilities need a word."""

RARE = 10
"""Ratio from which the rarest class needs a word."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What the sentences are made from."""

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


def describe_limits(facts: Facts) -> tuple[str, ...]:
    """Return the limits of a head as sentences, the gravest first."""
    describers = (_signal, _groups, _size, _balance, _baseline, _numbers, _fast, _everywhere)
    return tuple(sentence for describe in describers for sentence in describe(facts))


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
        yield f"It learnt from {facts.n_groups} groups only; another group may be unlike them all."


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
