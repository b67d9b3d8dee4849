"""Images to learn from, in one canonical order. Knows nothing of how heads are learnt."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from pydantic import with_config
from typing_extensions import TypedDict

from classifiers.blocks import Scaling
from classifiers.errors import LabelProblems, SpaceMismatch
from classifiers.labels import SHOWN, LabelSet, Problem
from classifiers.strict import STRICT
from classifiers.tasks import Question

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

LARGEST = 1e15
"""Of a vector's values: the sum of their squares is of single precision too."""


@with_config(STRICT)
class Values(TypedDict):
    """Numbers learnt from: their mean, their deviation, and what 90 % of them lie between."""

    mean: float
    deviation: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, eq=False)
class Examples:
    """Images with what their labels say, each image once, in the order of digests.

    Attributes:
        Z: float32 (n_images, n_columns), scaled row by row.
        targets: float64 (n_images, n_outputs), what each output should say.
        y: int64 (n_images,), class numbers; of a task without classes, the strata of folds.
        groups: int64 (n_images,), group numbers; an image of no known group has its own.
        groups_known: whether any image has a known group.
    """

    Z: Float32
    targets: Float64
    y: IntArray
    groups: IntArray
    groups_known: bool

    def __len__(self) -> int:
        return len(self.y)

    @property
    def n_groups(self) -> int | None:
        """Number of groups, None where none is known."""
        return int(np.unique(self.groups).size) if self.groups_known else None

    @property
    def any_together(self) -> bool:
        """Whether any two images are of one group."""
        return np.unique(self.groups).size < len(self)

    def keeping_together(self, copies: Iterable[Sequence[int]]) -> "Examples":
        """Return these images with groups that share copies made one.

        Args:
            copies: rows of images that belong together; rows beyond these images are left out.
        """
        groups = self.groups.copy()
        for rows in copies:
            own = [row for row in rows if row < len(self)]
            if own:
                groups[np.isin(groups, groups[own])] = groups[own[0]]
        return replace(self, groups=np.unique(groups, return_inverse=True)[1].astype(np.int64))


@dataclass(frozen=True, slots=True, eq=False)
class Sides:
    """The images to learn from, and those kept aside by an official split."""

    train: Examples
    test: Examples


def arrange(
    X: Float32, label_set: LabelSet, question: Question, scaling: Scaling, width: int
) -> Sides:
    """Sort images out: one row per digest, in order, scaled, and by side of the official split.

    Raises:
        SpaceMismatch: if X is not float32 (n_images, width).
        LabelProblems: if X has values that are no numbers, or too large.
    """
    expected = (len(label_set), width)
    if X.dtype != np.float32 or X.shape != expected:
        raise SpaceMismatch(f"float32 {expected}", f"{X.dtype} {X.shape}")
    row_of: dict[str, int] = {}
    for row, digest in enumerate(label_set.digests):
        row_of.setdefault(digest, row)
    rows = [row_of[digest] for digest in sorted(row_of)]
    _check_finite(X, label_set, rows)
    train = [row for row in rows if not label_set.is_test(row)]
    test = [row for row in rows if label_set.is_test(row)]
    return Sides(
        _examples(X, label_set, question, scaling, train),
        _examples(X, label_set, question, scaling, test),
    )


def describe_numbers(numbers: Float64) -> Values:
    """Return what numbers are like; their ends would be those of single images."""
    low, high = np.quantile(numbers, [0.05, 0.95])
    return Values(
        mean=float(numbers.mean()),
        deviation=float(numbers.std()),
        low=float(low),
        high=float(high),
    )


def digests_of(label_set: LabelSet) -> list[str]:
    """Return the digests in the order of `arrange`: images to learn from, then those kept aside."""
    aside = {digest: label_set.is_test(row) for row, digest in enumerate(label_set.digests)}
    return sorted(aside, key=lambda digest: (aside[digest], digest))


def _examples(
    X: Float32, label_set: LabelSet, question: Question, scaling: Scaling, rows: list[int]
) -> Examples:
    targets = question.targets([label_set.labels[row] for row in rows])
    groups = [label_set.group(row) for row in rows]
    names = [
        f"image {label_set.digests[row]}" if group is None else f"group {group}"
        for row, group in zip(rows, groups, strict=True)
    ]
    return Examples(
        Z=scaling.scale(X[rows]),
        targets=targets,
        y=question.strata(targets),
        groups=np.unique(names, return_inverse=True)[1].astype(np.int64),
        groups_known=any(group is not None for group in groups),
    )


def _check_finite(X: Float32, label_set: LabelSet, rows: Sequence[int]) -> None:
    damaged = [label_set.digests[row] for row in rows if not (np.abs(X[row]) <= LARGEST).all()]
    if damaged:
        detail = f"Vectors of {len(damaged)} images have values that are no numbers, or too large."
        raise LabelProblems([Problem("damaged_vectors", detail, tuple(damaged[:SHOWN]))])
