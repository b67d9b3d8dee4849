"""What is wrong with the classes of a label set, given what is asked. Knows nothing of vectors."""

import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator

from classifiers.label_set import (
    SHOWN,
    LabelSet,
    Problem,
    counted,
    first,
    learnt,
    listed,
    sides_of,
    values_of,
)
from classifiers.tasks import Question

FEWEST_IMAGES = 5
"""Images a class must have: five folds with one of them in each is the least to evaluate on.

Of several labels, images with it and images without it.
"""

FEWEST_NUMBERS = 20
"""Images that regression needs: with fewer, no interval of 90 % says much."""


def _named(label_set: LabelSet, question: Question) -> list[tuple[int, str]]:
    """Each row with each class that its label names."""
    labels = [label if label.strip() else None for label in label_set.labels]
    return [
        (row, name)
        for row, label in enumerate(labels)
        if label is not None
        for name in question.named(label)
    ]


def _train_counts(label_set: LabelSet, question: Question) -> Counter[str]:
    images = {
        (label_set.digests[row], name)
        for row, name in _named(label_set, question)
        if not label_set.is_test(row)
    }
    return Counter(name for _, name in images)


def _similar_labels(_: LabelSet, question: Question) -> Iterator[Problem]:
    labels = sorted(question.classes)
    spellings = values_of([_spelling(label) for label in labels], labels)
    similar = [label for found in spellings.values() if len(found) > 1 for label in found if label]
    if similar:
        detail = "Labels that differ only in case, spaces or encoding are different classes"
        detail = f"{detail}: {listed(similar)}."
        yield Problem("similar_labels", detail, first(similar), "warning")


def _spelling(label: str) -> str:
    """What a reader sees: letters composed, without those that have no width."""
    composed = unicodedata.normalize("NFKC", label)
    seen = "".join(c for c in composed if unicodedata.category(c) != "Cf")
    return " ".join(seen.split()).casefold()


def _too_few_images(label_set: LabelSet, question: Question) -> Iterator[Problem]:
    n_images = len({digest for digest, _ in learnt(label_set)})
    if question.is_number and n_images < FEWEST_NUMBERS:
        detail = f"Numbers are learnt from {FEWEST_NUMBERS} images or more, not from {n_images}."
        yield Problem("too_few_images", detail)
    counts = _train_counts(label_set, question)
    few = sorted(label for label, count in counts.items() if count < FEWEST_IMAGES)
    if few:
        each = ", ".join(f"{label!r} has {counts[label]}" for label in few[:SHOWN])
        detail = f"{counted(few, 'class', 'classes')} with fewer than {FEWEST_IMAGES} images"
        yield Problem("too_few_images", f"{detail} to learn from: {each}.", first(few))
    if question.exclusive:
        return
    common = sorted(name for name, count in counts.items() if n_images - count < FEWEST_IMAGES)
    if common:
        detail = f"Fewer than {FEWEST_IMAGES} images to learn from are without {listed(common)}"
        yield Problem("too_few_images", f"{detail}: nothing tells what it is not.", first(common))


def _one_number(label_set: LabelSet, question: Question) -> Iterator[Problem]:
    labels = {label for _, label in learnt(label_set)}
    if question.is_number and len(labels) > 1 and len({float(label) for label in labels}) == 1:
        detail = f"{listed(sorted(labels))} are one number; two different ones are needed."
        yield Problem("one_label", detail, first(labels))


def _split_classes(label_set: LabelSet, question: Question) -> Iterator[Problem]:
    side_of = sides_of(label_set)
    if "test" not in side_of:
        return
    named = _named(label_set, question)
    labels = values_of([name for _, name in named], [side_of[row] for row, _ in named])
    if unlearnt := [label for label, found in labels.items() if found == {"test"}]:
        detail = f"{counted(unlearnt, 'class', 'classes')} with test images only"
        yield Problem("class_missing_in_split", f"{detail}: {listed(unlearnt)}.", first(unlearnt))
    if untested := [label for label, found in labels.items() if found == {"train"}]:
        detail = f"{counted(untested, 'class', 'classes')} without a test image"
        detail = f"{detail}: {listed(untested)}."
        yield Problem("class_not_tested", detail, first(untested), "warning")


def _single_group(label_set: LabelSet, question: Question) -> Iterator[Problem]:
    rows = [one for one in _named(label_set, question) if not label_set.is_test(one[0])]
    if all(label_set.group(row) is None for row, _ in rows):
        return
    groups = values_of(
        [name for _, name in rows],
        [label_set.group(row) or f"\0{label_set.digests[row]}" for row, _ in rows],
    )
    if alone := [label for label, found in groups.items() if len(found) == 1]:
        detail = f"{counted(alone, 'class', 'classes')} whose images all come from one group"
        detail = f"{detail}: {listed(alone)}; evaluation cannot keep groups apart."
        yield Problem("single_group_class", detail, first(alone), "warning")


CLASS_CHECKS: tuple[Callable[[LabelSet, Question], Iterator[Problem]], ...] = (
    _similar_labels,
    _too_few_images,
    _one_number,
    _split_classes,
    _single_group,
)
