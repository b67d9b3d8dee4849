"""Labels of images, and one thing that may be wrong with them. Knows nothing of vectors."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

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


def part(label_set: LabelSet, rows: Sequence[int]) -> LabelSet:
    """Return the label set of these rows alone."""
    groups, splits = label_set.groups, label_set.splits
    return LabelSet(
        digests=tuple(label_set.digests[row] for row in rows),
        labels=tuple(label_set.labels[row] for row in rows),
        groups=None if groups is None else tuple(groups[row] for row in rows),
        splits=None if splits is None else tuple(splits[row] for row in rows),
    )


def first(items: Iterable[str]) -> tuple[str, ...]:
    """Return the first few, in order."""
    return tuple(sorted(items)[:SHOWN])


def listed(items: Iterable[str]) -> str:
    """Name the first few."""
    return ", ".join(map(repr, first(items)))


def counted(items: Collection[object], one: str, many: str = "") -> str:
    """Say how many there are of what."""
    return f"{len(items)} {one if len(items) == 1 else many or one + 's'}"


def values_of(
    keys: Sequence[str | None], values: Sequence[str | None]
) -> Mapping[str, set[str | None]]:
    """Return the values that come with each key; None is no key."""
    found: defaultdict[str, set[str | None]] = defaultdict(set)
    for key, value in zip(keys, values, strict=True):
        if key is not None:
            found[key].add(value)
    return found


def sides_of(label_set: LabelSet) -> list[str | None]:
    """Return the side of the official split of each row."""
    return ["test" if label_set.is_test(row) else "train" for row in range(len(label_set))]


def groups_of(label_set: LabelSet) -> list[str | None]:
    """Return the group of each row."""
    return [label_set.group(row) for row in range(len(label_set))]


def learnt(label_set: LabelSet) -> set[tuple[str, str]]:
    """Return digest and label of the images to learn from."""
    return {
        (digest, label)
        for row, (digest, label) in enumerate(zip(label_set.digests, label_set.labels, strict=True))
        if label.strip() and not label_set.is_test(row)
    }
