"""What is to be learnt, from labels and vectors that were checked: before anything is fitted.

Knows nothing of how heads are learnt.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from classifiers.blocks import Scaling, choose_blocks
from classifiers.copies import doubts, find_copies
from classifiers.examples import Examples, arrange
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


def prepare(
    X: Float32,
    label_set: LabelSet,
    asked: tuple[str, Sequence[str]],
    layout: Sequence[tuple[str, int, int]],
    recipe: Recipe,
) -> Lesson:
    """Check labels and vectors, and plan the evaluation; arguments and errors as of `learn`.

    Args:
        X: float32 (n_images, width).
        label_set: what to learn.
        asked: task and order, as they were stated.
        layout: every column block of X.
        recipe: how to learn.
    """
    task, order = asked
    warnings = tuple(found.detail for found in check(label_set, task=task, order=order))
    question = ask(label_set, task, order)
    width = max(stop for _, _, stop in layout)
    scaling = Scaling(choose_blocks(layout, recipe.blocks), recipe.normalisation)
    sides = arrange(X, label_set, question, scaling, width)
    Z = np.concatenate([sides.train.Z, sides.test.Z])
    copies = [found.rows for found in find_copies(scaling.details(Z))]
    complete = recipe.complete(len(sides.train), scaling.n_columns, question.n_outputs)
    chosen = complete.to_dict()
    train = sides.train.keeping_together(copies)
    plan = make_plan(
        train.y,
        sides.train.groups if train.groups_known else None,
        chosen["folds"],
        chosen["repeats"],
        complete.seed,
        with_copies=train.groups if train.any_together else None,
    )
    return Lesson(
        (*warnings, *doubts(label_set, copies)),
        fingerprint(label_set),
        width,
        train,
        sides.test,
        question,
        scaling,
        complete,
        plan,
        sum(map(len, copies)),
    )
