"""The kinds of question that a head answers: what labels, targets and scores mean in each.

    task        an image has             outputs, of K classes     loss
    binary      one of two classes       1: the second class       logistic
    multiclass  one of three or more     K: each against the rest  logistic
    multilabel  any number of K labels   K: each label for itself  logistic
    ordinal     one of K ordered grades  K - 1: "above grade k"    logistic
    regression  a number                 1: the number             squared

Ordinal: Frank and Hall, "A simple approach to ordinal classification" (ECML 2001). Whoever needs to
know the task asks a `Question`. Knows nothing of vectors, and of how anything is fitted.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from classifiers.links import CLASSES, EACH, GRADES, NUMBER
from classifiers.probabilities import to_answers

Float64 = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

Task = Literal["binary", "multiclass", "multilabel", "ordinal", "regression"]

BAR, NONE = "|", "-"
"""Between the labels of one image; and what an image is labelled that has none of them."""

STRATUM = 5
"""Images of one stratum at least, so that each of five folds can hold one out."""

LARGEST_NUMBER = 1e30
"""Beyond it, sums of squares of single precision have no room."""

_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
_LINKS: Mapping[Task, int] = {"multilabel": EACH, "ordinal": GRADES, "regression": NUMBER}


class TaskMisfit(ValueError):
    """The labels are not those of the task; `items` are the first few that are not."""

    def __init__(self, detail: str, items: Iterable[str] = ()) -> None:
        super().__init__(detail)
        self.items = tuple(items)


@dataclass(frozen=True, slots=True)
class Question:
    """What a head is asked.

    Attributes:
        task: of which kind.
        classes: classes, labels or grades in the order of probabilities; none of regression.
    """

    task: Task
    classes: tuple[str, ...]

    @property
    def n_outputs(self) -> int:
        """Raw scores of an image."""
        k = len(self.classes)
        return {"binary": 1, "ordinal": k - 1, "regression": 1}.get(self.task, k)

    @property
    def n_answers(self) -> int:
        """Columns of what scores are turned into: a probability per class, or the number."""
        return len(self.classes) or 1

    @property
    def link(self) -> int:
        """How scores become answers; `links` has the rules."""
        return _LINKS.get(self.task, CLASSES)

    @property
    def exclusive(self) -> bool:
        """Whether each image has exactly one of the classes."""
        return self.task in ("binary", "multiclass", "ordinal")

    @property
    def is_number(self) -> bool:
        """Whether the answer is a number."""
        return self.task == "regression"

    def named(self, label: str) -> tuple[str, ...]:
        """Return the classes that a label names: one, of several labels any, of a number none."""
        if self.task == "multilabel":
            return split_label(label)
        return () if self.is_number else (label,)

    def targets(self, labels: Sequence[str]) -> Float64:
        """Return what each output should say: float64 (n_images, n_outputs).

        Numbers as they are; everything else 0 or 1.
        """
        if self.is_number:
            return np.array([float(label) for label in labels]).reshape(-1, 1)
        place = {name: number for number, name in enumerate(self.classes)}
        has = np.zeros((len(labels), len(self.classes)))
        for row, label in enumerate(labels):
            has[row, [place[name] for name in self.named(label)]] = 1
        if self.task == "ordinal":
            return np.asarray(1 - has.cumsum(axis=1)[:, :-1])
        return has[:, 1:] if self.task == "binary" else has

    def numbers(self, targets: Float64) -> IntArray:
        """Return class numbers from targets: int64 (n_images,); of exclusive classes alone."""
        if self.task == "multiclass":
            return np.asarray(targets.argmax(axis=1), np.int64)
        return np.asarray(targets.sum(axis=1), np.int64)

    def answers(self, scores: Float64) -> Float64:
        """Return what scores of one head mean: float64 (n_images, n_answers)."""
        return to_answers(scores, np.array([self.n_outputs]), np.array([self.link]))

    def count(self, targets: Float64) -> dict[str, int]:
        """Return how many images have each class, or label."""
        if self.is_number:
            return {}
        has = targets
        if self.exclusive:
            has = self.numbers(targets)[:, None] == np.arange(len(self.classes))
        return dict(zip(self.classes, has.sum(axis=0).astype(int).tolist(), strict=True))

    def is_truth(self, targets: Float64) -> bool:
        """Say whether these could be targets: what labels say of images."""
        if self.is_number:
            return True
        possible = np.isin(targets, (0.0, 1.0)).all()
        if self.task == "multiclass":
            return bool(possible and (targets.sum(axis=1) == 1).all())
        if self.task == "ordinal":
            return bool(possible and (np.diff(targets, axis=1) <= 0).all())
        return bool(possible)

    def strata(self, targets: Float64) -> IntArray:
        """Return what folds are balanced by, numbered from 0: int64 (n_images,).

        Classes; of several labels the rarest that an image has; of numbers up to five steps.
        """
        if self.exclusive:
            return self.numbers(targets)
        if self.is_number:
            steps = max(1, min(STRATUM, len(targets) // STRATUM))
            place = np.argsort(np.argsort(targets[:, 0], kind="stable"), kind="stable")
            return np.asarray(place * steps // max(1, len(targets)), np.int64)
        counts = targets.sum(axis=0)
        rarity = np.where(targets > 0, counts, np.inf)
        rarest = np.where(targets.any(axis=1), rarity.argmin(axis=1), targets.shape[1])
        sizes = np.bincount(rarest, minlength=targets.shape[1] + 1)
        rarest[sizes[rarest] < STRATUM] = sizes.argmax()
        return np.unique(rarest, return_inverse=True)[1].astype(np.int64)

    def ranked(self, answers: Float64) -> Float64:
        """Return what each output's yes or no is ranked by: float64 (n_images, n_outputs).

        Args:
            answers: float64 (n_images, n_answers).
        """
        if self.task == "ordinal":
            return np.asarray(answers[:, :0:-1].cumsum(axis=1)[:, ::-1])
        return answers[:, 1:] if self.task == "binary" else answers

    def label_of(self, answer: Sequence[float]) -> str:
        """Return one image's answer, written as labels are.

        The likeliest class or grade; of several labels all that are likelier than not; a number.
        """
        if self.is_number:
            return f"{answer[0]:.6g}"
        if self.exclusive:
            return self.classes[max(range(len(answer)), key=answer.__getitem__)]
        return join_labels(self.likely(answer))

    def likely(self, answer: Sequence[float]) -> list[str]:
        """Return the labels that are likelier than not."""
        return [name for name, p in zip(self.classes, answer, strict=True) if p >= 0.5]  # noqa: PLR2004  likelier than not


def split_label(label: str) -> tuple[str, ...]:
    """Return the labels that one text names, each once; raises `TaskMisfit` if it cannot be."""
    if label.strip() == NONE:
        return ()
    names = tuple(dict.fromkeys(name.strip() for name in label.split(BAR)))
    if "" in names or NONE in names:
        raise TaskMisfit(
            f"Several labels are written with {BAR!r} between them, none of them as {NONE!r}; "
            f"{label!r} is neither",
            [label],
        )
    return names


def join_labels(names: Sequence[str]) -> str:
    """Return the one text of any number of labels."""
    return BAR.join(names) or NONE


def is_number(label: str) -> bool:
    """Say whether a label is a number that can be learnt, written with a point."""
    text = label.strip()
    return _NUMBER.fullmatch(text) is not None and abs(float(text)) <= LARGEST_NUMBER
