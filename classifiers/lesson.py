"""What is to be learnt, from labels and vectors that were checked: before anything is fitted.

Knows nothing of how heads are learnt.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from classifiers.blocks import Scaling, choose_blocks
from classifiers.copies import doubts, find_copies
from classifiers.examples import Examples, arrange, digests_of
from classifiers.folds import Plan, make_plan
from classifiers.labels import LabelSet, ask, check, fingerprint
from classifiers.mixture import Mixture
from classifiers.recipe import Recipe
from classifiers.tasks import Question

Float32 = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Lesson:
    """Everything that decides what is learnt, and what the card says of it."""

    warnings: tuple[str, ...]
    fingerprint: str
    width: int
    train: Examples
    test: Examples
    question: Question
    scaling: Scaling
    recipe: Recipe
    plan: Plan
    n_copies: int

    def mixture(self) -> Mixture:
        """What is to be fitted, on these images."""
        return Mixture(self.train, self.question, self.scaling.blocks, self.recipe)


Copied = Sequence[Sequence[str]]
"""Sets of images that are copies of each other, by digest."""


def prepare(
    X: Float32,
    label_set: LabelSet,
    asked: tuple[str, Sequence[str]],
    layout: Sequence[tuple[str, int, int]],
    recipe: Recipe,
    copied: Copied | None = None,
) -> Lesson:
    """Check labels and vectors, and plan the evaluation; arguments and errors as of `learn`.

    Args:
        X: float32 (n_images, width).
        label_set: what to learn.
        asked: task and order, as they were stated.
        layout: every column block of X.
        recipe: how to learn.
        copied: images that are held out together; None looks for them in X.
    """
    task, order = asked
    warnings = tuple(found.detail for found in check(label_set, task=task, order=order))
    question = ask(label_set, task, order)
    width = max(stop for _, _, stop in layout)
    scaling = Scaling(choose_blocks(layout, recipe.blocks), recipe.normalisation)
    sides = arrange(X, label_set, question, scaling, width)
    digests = digests_of(label_set)
    if copied is None:
        copied = _copied(np.concatenate([sides.train.Z, sides.test.Z]), digests, scaling)
    row_of = {digest: row for row, digest in enumerate(digests)}
    copies = [[row_of[digest] for digest in one] for one in copied]
    complete = recipe.complete(len(sides.train), scaling.n_columns, question.n_outputs)
    train, plan = keep_together(sides.train, copies, complete, question)
    # Rows of the images kept aside follow those of the others.
    aside = [[row - len(train) for row in one if row >= len(train)] for one in copies]
    return Lesson(
        (*warnings, *doubts(label_set, copies)),
        fingerprint(label_set),
        width,
        train,
        sides.test.keeping_together(aside),
        question,
        scaling,
        complete,
        plan,
        sum(map(len, copies)),
    )


def find_copied(
    X: Float32, label_set: LabelSet, layout: Sequence[tuple[str, int, int]]
) -> tuple[tuple[str, ...], ...]:
    """Return the images that are copies of each other, as a head of every block finds them.

    Args:
        X: float32 (n_images, width), a row per image of the label set, raw values.
        label_set: whose images.
        layout: every column block of X.
    """
    recipe = Recipe()
    scaling = Scaling(choose_blocks(layout, recipe.blocks), recipe.normalisation)
    row_of = {digest: row for row, digest in enumerate(label_set.digests)}
    digests = digests_of(label_set)
    return _copied(scaling.scale(X[[row_of[digest] for digest in digests]]), digests, scaling)


def keep_together(
    train: Examples, copies: Iterable[Sequence[int]], recipe: Recipe, question: Question
) -> tuple[Examples, Plan]:
    """Return images whose copies count as one group, and the folds on which that is so.

    Args:
        train: the images to learn from.
        copies: rows of images that are copies of each other.
        recipe: complete.
        question: what is asked of them.
    """
    together, chosen = train.keeping_together(copies), recipe.to_dict()
    plan = make_plan(
        train.y,
        train.groups if train.groups_known else None,
        chosen["folds"],
        chosen["repeats"],
        recipe.seed,
        with_copies=together.groups if together.any_together else None,
        must_learn=not question.is_number,
    )
    return together, plan


def _copied(Z: Float32, digests: Sequence[str], scaling: Scaling) -> tuple[tuple[str, ...], ...]:
    found = find_copies(scaling.details(Z))
    return tuple(tuple(digests[row] for row in one.rows) for one in found)
