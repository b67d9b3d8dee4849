"""What is wrong with a label set, all at once and before any fit. Knows nothing of vectors.

Codes of `Problem`:

    error    empty_dataset, missing_label, one_label, too_few_images, conflicting_labels,
             conflicting_groups, unknown_digests, bad_split, image_on_both_sides,
             group_on_both_sides, class_missing_in_split
    warning  duplicate_image, similar_labels, missing_group, single_group_class, class_not_tested
"""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from classifiers.errors import LabelProblems

FEWEST_IMAGES = 5
"""Images a class must have: five folds with one of them in each is the least to evaluate on."""

SHOWN = 5
"""How many offending items a problem names; its detail has the full count."""

Split = Literal["train", "test"]


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a label set; `items` are the first few it concerns."""

    code: str
    detail: str
    items: tuple[str, ...] = ()
    severity: Literal["error", "warning"] = "error"


@dataclass(frozen=True, slots=True)
class LabelSet:
    """Labels of images, as parallel columns; one row per image.

    A group (patient, slide) ties images that must not be split. An image of split "test" is
    never learnt from; one without a split counts as "train". `None` for a whole column: unknown.
    """

    digests: tuple[str, ...]
    labels: tuple[str, ...]
    groups: tuple[str | None, ...] | None = None
    splits: tuple[Split | None, ...] | None = None

    def __post_init__(self) -> None:
        for name in ("labels", "groups", "splits"):
            column = getattr(self, name)
            if column is not None and len(column) != len(self.digests):
                raise ValueError(f"{len(column)} {name} for {len(self.digests)} digests")

    def __len__(self) -> int:
        return len(self.digests)

    def group(self, row: int) -> str | None:
        """Return the group of an image, None where it is not known."""
        return (self.groups[row] or None) if self.groups is not None else None

    def is_test(self, row: int) -> bool:
        """Say whether the official split keeps this image out of training."""
        return self.splits is not None and self.splits[row] == "test"


def find_problems(label_set: LabelSet, known: Collection[str] | None = None) -> list[Problem]:
    """Find everything wrong with a label set, errors first.

    Args:
        label_set: what somebody wants a head to learn.
        known: digests that have a record; None when that was checked elsewhere.
    """
    if not len(label_set):
        return [Problem("empty_dataset", "The dataset has no labelled images.")]
    problems = [problem for check in _CHECKS for problem in check(label_set)]
    if known is not None:
        problems += _unknown_digests(label_set, frozenset(known))
    return sorted(problems, key=lambda problem: problem.severity != "error")


def check(label_set: LabelSet, known: Collection[str] | None = None) -> list[Problem]:
    """Return the warnings of a label set that can be learnt from.

    Raises:
        LabelProblems: if there is any error; it carries the warnings too.
    """
    problems = find_problems(label_set, known)
    if any(problem.severity == "error" for problem in problems):
        raise LabelProblems(problems)
    return problems


def fingerprint(label_set: LabelSet) -> str:
    """Return the SHA-256 of digests, labels, groups and splits, whatever the order of rows."""
    sides, groups = _sides(label_set), _groups(label_set)
    rows = zip(label_set.digests, label_set.labels, groups, sides, strict=True)
    lines = sorted({json.dumps(row) for row in rows})
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _first(items: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(items)[:SHOWN])


def _listed(items: Iterable[str]) -> str:
    return ", ".join(map(repr, _first(items)))


def _count(items: Collection[object], one: str, many: str = "") -> str:
    return f"{len(items)} {one if len(items) == 1 else many or one + 's'}"


def _train_counts(label_set: LabelSet) -> Counter[str]:
    rows = zip(label_set.digests, label_set.labels, _sides(label_set), strict=True)
    images = {(digest, label) for digest, label, side in rows if side == "train" and label.strip()}
    return Counter(label for _, label in images)


def _values_of(
    keys: Sequence[str | None], values: Sequence[str | None]
) -> Mapping[str, set[str | None]]:
    found: defaultdict[str, set[str | None]] = defaultdict(set)
    for key, value in zip(keys, values, strict=True):
        if key is not None:
            found[key].add(value)
    return found


def _sides(label_set: LabelSet) -> list[str | None]:
    return ["test" if label_set.is_test(row) else "train" for row in range(len(label_set))]


def _groups(label_set: LabelSet) -> list[str | None]:
    return [label_set.group(row) for row in range(len(label_set))]


def _missing_label(label_set: LabelSet) -> Iterator[Problem]:
    pairs = zip(label_set.digests, label_set.labels, strict=True)
    bare = {digest for digest, label in pairs if not label.strip()}
    if bare:
        yield Problem("missing_label", f"{_count(bare, 'image')} without a label.", _first(bare))


def _one_label(label_set: LabelSet) -> Iterator[Problem]:
    labels = _train_counts(label_set)
    if len(labels) == 1:
        detail = f"Every image to learn from is labelled {next(iter(labels))!r}; two labels needed."
        yield Problem("one_label", detail, tuple(labels))
    elif not labels and any(label.strip() for label in label_set.labels):
        yield Problem("empty_dataset", "The split leaves no image to learn from.")


def _similar_labels(label_set: LabelSet) -> Iterator[Problem]:
    labels = sorted(set(label_set.labels))
    spellings = _values_of([" ".join(label.split()).casefold() for label in labels], labels)
    similar = [label for found in spellings.values() if len(found) > 1 for label in found if label]
    if similar:
        detail = "Labels that differ only in case or spaces are different classes"
        detail = f"{detail}: {_listed(similar)}."
        yield Problem("similar_labels", detail, _first(similar), "warning")


def _too_few_images(label_set: LabelSet) -> Iterator[Problem]:
    counts = _train_counts(label_set)
    few = sorted(label for label, count in counts.items() if count < FEWEST_IMAGES)
    if few:
        listed = ", ".join(f"{label!r} has {counts[label]}" for label in few[:SHOWN])
        detail = f"{_count(few, 'class', 'classes')} with fewer than {FEWEST_IMAGES} images"
        yield Problem("too_few_images", f"{detail} to learn from: {listed}.", _first(few))


def _same_image_twice(label_set: LabelSet) -> Iterator[Problem]:
    repeated = {digest for digest, count in Counter(label_set.digests).items() if count > 1}

    def torn(column: Sequence[str | None]) -> list[str]:
        values = _values_of(label_set.digests, column)
        return [digest for digest in repeated if len(values[digest]) > 1]

    if found := torn(label_set.labels):
        detail = f"{_count(found, 'image')} listed with different labels."
        yield Problem("conflicting_labels", detail, _first(found))
    if found := torn(_groups(label_set)):
        detail = f"{_count(found, 'image')} listed in different groups."
        yield Problem("conflicting_groups", detail, _first(found))
    if found := torn(_sides(label_set)):
        detail = f"{_count(found, 'image')} on both sides of the split."
        yield Problem("image_on_both_sides", detail, _first(found))
    if repeated:
        detail = f"{_count(repeated, 'image')} listed more than once; each is learnt from once."
        yield Problem("duplicate_image", detail, _first(repeated), "warning")


def _bad_split(label_set: LabelSet) -> Iterator[Problem]:
    found = set(label_set.splits or ())
    strange = {str(split) for split in found if split not in ("train", "test", None)}
    if strange:
        detail = f"A split is 'train', 'test' or absent, not {_listed(strange)}."
        yield Problem("bad_split", detail, _first(strange))


def _split_sides(label_set: LabelSet) -> Iterator[Problem]:
    sides = _sides(label_set)
    if "test" not in sides:
        return
    groups = _values_of(_groups(label_set), sides)
    if torn := [group for group, found in groups.items() if len(found) > 1]:
        detail = f"{_count(torn, 'group')} with images on both sides of the split."
        yield Problem("group_on_both_sides", detail, _first(torn))
    labels = _values_of([label if label.strip() else None for label in label_set.labels], sides)
    if unlearnt := [label for label, found in labels.items() if found == {"test"}]:
        detail = f"{_count(unlearnt, 'class', 'classes')} with test images only"
        yield Problem("class_missing_in_split", f"{detail}: {_listed(unlearnt)}.", _first(unlearnt))
    if untested := [label for label, found in labels.items() if found == {"train"}]:
        detail = f"{_count(untested, 'class', 'classes')} without a test image"
        detail = f"{detail}: {_listed(untested)}."
        yield Problem("class_not_tested", detail, _first(untested), "warning")


def _group_doubts(label_set: LabelSet) -> Iterator[Problem]:
    learnt = [row for row in range(len(label_set)) if not label_set.is_test(row)]
    bare = [label_set.digests[row] for row in learnt if label_set.group(row) is None]
    if len(bare) == len(learnt):
        return
    if bare:
        detail = f"{_count(bare, 'image')} without a group; each counts as a group of its own."
        yield Problem("missing_group", detail, _first(bare), "warning")
    groups = _values_of(
        [label_set.labels[row] for row in learnt],
        [label_set.group(row) or f"\0{label_set.digests[row]}" for row in learnt],
    )
    if alone := [label for label, found in groups.items() if len(found) == 1]:
        detail = f"{_count(alone, 'class', 'classes')} whose images all come from one group"
        detail = f"{detail}: {_listed(alone)}; evaluation cannot keep groups apart."
        yield Problem("single_group_class", detail, _first(alone), "warning")


def _unknown_digests(label_set: LabelSet, known: frozenset[str]) -> Iterator[Problem]:
    unknown = set(label_set.digests) - known
    if unknown:
        detail = f"{_count(unknown, 'image')} without a record; embed them first."
        yield Problem("unknown_digests", detail, _first(unknown))


_CHECKS: tuple[Callable[[LabelSet], Iterator[Problem]], ...] = (
    _missing_label,
    _one_label,
    _similar_labels,
    _too_few_images,
    _same_image_twice,
    _bad_split,
    _split_sides,
    _group_doubts,
)
