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
        return [Problem("empty_dataset", "the dataset has no labelled images")]
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


def _count(items: Sequence[object] | Collection[object], one: str, many: str = "") -> str:
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
    bare = [digest for digest, label in pairs if not label.strip()]
    if bare:
        yield Problem("missing_label", f"{_count(bare, 'image')} without a label", _first(bare))


def _one_label(label_set: LabelSet) -> Iterator[Problem]:
    labels = _train_counts(label_set)
    if len(labels) == 1:
        only = next(iter(labels))
        yield Problem(
            "one_label",
            f"every image to learn from is labelled {only!r}; two labels needed",
            (only,),
        )
    elif not labels and any(label.strip() for label in label_set.labels):
        yield Problem("empty_dataset", "the split leaves no image to learn from")


def _similar_labels(label_set: LabelSet) -> Iterator[Problem]:
    labels = sorted(set(label_set.labels))
    spellings = _values_of([" ".join(label.split()).casefold() for label in labels], labels)
    similar = [label for found in spellings.values() if len(found) > 1 for label in found if label]
    if similar:
        yield Problem(
            "similar_labels",
            "labels that differ only in case or spaces are different classes: "
            + ", ".join(map(repr, _first(similar))),
            _first(similar),
            "warning",
        )


def _too_few_images(label_set: LabelSet) -> Iterator[Problem]:
    counts = _train_counts(label_set)
    few = {label: count for label, count in counts.items() if count < FEWEST_IMAGES}
    if few:
        listed = ", ".join(f"{label!r} has {few[label]}" for label in sorted(few)[:SHOWN])
        yield Problem(
            "too_few_images",
            f"{_count(few, 'class', 'classes')} with fewer than {FEWEST_IMAGES} images "
            f"to learn from: {listed}",
            _first(few),
        )


def _same_image_twice(label_set: LabelSet) -> Iterator[Problem]:
    repeated = {digest for digest, count in Counter(label_set.digests).items() if count > 1}
    if not repeated:
        return
    conflicts: list[tuple[str, str, Sequence[str | None]]] = [
        ("conflicting_labels", "with different labels", label_set.labels),
        ("image_on_both_sides", "on both sides of the split", _sides(label_set)),
        ("conflicting_groups", "in different groups", _groups(label_set)),
    ]
    for code, what, column in conflicts:
        values = _values_of(label_set.digests, column)
        torn = [digest for digest in repeated if len(values[digest]) > 1]
        if torn:
            yield Problem(code, f"{_count(torn, 'image')} listed {what}", _first(torn))
    yield Problem(
        "duplicate_image",
        f"{_count(repeated, 'image')} listed more than once; each is learnt from once",
        _first(repeated),
        "warning",
    )


def _bad_split(label_set: LabelSet) -> Iterator[Problem]:
    found = set(label_set.splits or ())
    strange = {str(split) for split in found if split not in ("train", "test", None)}
    if strange:
        listed = ", ".join(repr(split) for split in _first(strange))
        yield Problem(
            "bad_split", f"a split is 'train', 'test' or absent, not {listed}", _first(strange)
        )


def _split_sides(label_set: LabelSet) -> Iterator[Problem]:
    sides = _sides(label_set)
    if "test" not in sides:
        return
    groups = _values_of(_groups(label_set), sides)
    torn = [group for group, found in groups.items() if len(found) > 1]
    if torn:
        yield Problem(
            "group_on_both_sides",
            f"{_count(torn, 'group')} with images on both sides of the split",
            _first(torn),
        )
    labels = _values_of([label if label.strip() else None for label in label_set.labels], sides)
    unlearnt = [label for label, found in labels.items() if found == {"test"}]
    if unlearnt:
        yield Problem(
            "class_missing_in_split",
            f"{_count(unlearnt, 'class', 'classes')} with test images only: "
            + ", ".join(map(repr, _first(unlearnt))),
            _first(unlearnt),
        )
    untested = [label for label, found in labels.items() if found == {"train"}]
    if untested:
        yield Problem(
            "class_not_tested",
            f"{_count(untested, 'class', 'classes')} without a test image: "
            + ", ".join(map(repr, _first(untested))),
            _first(untested),
            "warning",
        )


def _group_doubts(label_set: LabelSet) -> Iterator[Problem]:
    if label_set.groups is None:
        return
    learnt = [row for row in range(len(label_set)) if not label_set.is_test(row)]
    bare = [label_set.digests[row] for row in learnt if label_set.group(row) is None]
    if bare:
        yield Problem(
            "missing_group",
            f"{_count(bare, 'image')} without a group; each counts as a group of its own",
            _first(bare),
            "warning",
        )
    groups = _values_of(
        [label_set.labels[row] for row in learnt],
        [label_set.group(row) or f"\0{label_set.digests[row]}" for row in learnt],
    )
    alone = [label for label, found in groups.items() if len(found) == 1]
    if alone:
        yield Problem(
            "single_group_class",
            f"{_count(alone, 'class', 'classes')} whose images all come from one group: "
            + ", ".join(map(repr, _first(alone)))
            + "; group-wise evaluation is impossible",
            _first(alone),
            "warning",
        )


def _unknown_digests(label_set: LabelSet, known: frozenset[str]) -> Iterator[Problem]:
    unknown = set(label_set.digests) - known
    if unknown:
        yield Problem(
            "unknown_digests",
            f"{_count(unknown, 'image')} without a record; embed them first",
            _first(unknown),
        )


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
