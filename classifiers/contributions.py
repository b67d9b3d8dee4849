"""Why a head gives its answer: what each column, and each place, adds to its score.

Knows nothing of images: a place is wherever parts of a column's value come from.

    task        score
    binary      log odds of the likeliest class and the likeliest of the others
    multiclass  the same
    multilabel  log odds of a label being there or not; one score for each label
    ordinal     log odds of the likeliest grade's side of a cut and the other side: the cut between
                it and the likeliest of the others
    regression  the number

The score is linear in what the head mixes, so it falls apart without a remainder: the linear part
by columns, relative to the mean of the images learnt from; the trees by LightGBM's exact Shapley
values, relative to their expected score. What is left is the score of a mean image, the base.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from classifiers import boosting
from classifiers.head import Head, check_width
from classifiers.probabilities import linear_scores
from classifiers.tasks import Question

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]

Unit = Literal["log odds", "number"]

MOST_LABELS = 20
"""Labels of one image that are explained, the likeliest ones."""


@dataclass(frozen=True, slots=True, eq=False)
class Contributions:
    """What each column of one row adds to a score.

    Attributes:
        of: what a high score speaks for: a label, grades, or "higher" of a number.
        against: what a low one speaks for; None where that is `of` not being there.
        unit: "log odds", how many times likelier `of` is as a logarithm; or "number", the answer.
        score: base + linear + trees.
        base: the score of a mean image of those the head learnt from.
        weights: float64 (n_columns,), what the linear part multiplies columns by.
        linear: float64 (n_columns,), what columns add by way of the linear part.
        trees: float64 (n_columns,), what columns add by way of the trees.
    """

    of: str
    against: str | None
    unit: Unit
    score: float
    base: float
    weights: Float64
    linear: Float64
    trees: Float64


@dataclass(frozen=True, slots=True, eq=False)
class _Contrast:
    """A score as a sum of outputs; `outputs`: float64 (n_outputs,), what each is multiplied by."""

    of: str
    against: str | None
    unit: Unit
    outputs: Float64


def contributions(head: Head, row: Float32) -> list[Contributions]:
    """Return why a head gives its answer: one score, but of several labels one for each.

    The likeliest label comes first, and at most `MOST_LABELS` are explained.

    Args:
        head: of any task.
        row: float32 (width,), a row of the feature matrix as the backbone made it.

    Raises:
        SpaceMismatch: if the row has another width.
    """
    check_width(row[np.newaxis], head.card.width)
    columns = head.scaling.scale(row[np.newaxis])
    means, linear = head.arrays["column_means"], head.arrays["linear"].astype(np.float64)
    middle = linear_scores(means[np.newaxis], head.arrays["linear"], head.arrays["intercept"])[0]
    excess = columns[0].astype(np.float64) - means
    trees = _of_trees(head, columns)
    found = []
    for one in _contrasts(head.card.question, head.answers_of(columns)[0]):
        weights, shares = one.outputs @ linear, one.outputs @ trees
        added = weights * excess
        base = float(one.outputs @ middle) + float(shares[-1])
        score = base + float(added.sum() + shares[:-1].sum())
        parts = (score, base, weights, added, shares[:-1])
        found.append(Contributions(one.of, one.against, one.unit, *parts))
    return found


def _contrasts(question: Question, answers: Float64) -> list[_Contrast]:
    if question.is_number:
        return [_Contrast("higher", "lower", "number", np.ones(1))]
    if question.task == "multilabel":
        likeliest = np.argsort(-answers, kind="stable")[:MOST_LABELS]
        units = np.eye(question.n_outputs)
        return [_Contrast(question.classes[k], None, "log odds", units[k]) for k in likeliest]
    of = int(answers.argmax())
    against = int(np.where(np.arange(len(answers)) == of, -1, answers).argmax())
    if question.task == "ordinal":
        return [_of_grades(question.classes, of, against)]
    outputs = np.zeros(question.n_outputs)
    if question.n_outputs == 1:
        outputs[0] = 1.0 if of == 1 else -1.0
    else:
        outputs[of], outputs[against] = 1.0, -1.0
    return [_Contrast(question.classes[of], question.classes[against], "log odds", outputs)]


def _of_grades(grades: Sequence[str], of: int, against: int) -> _Contrast:
    """The cut next to a grade, on the side of another; output k is "above grade k"."""
    outputs = np.zeros(len(grades) - 1)
    cut = of if against > of else of - 1
    outputs[cut] = -1.0 if against > of else 1.0
    below = grades[0] if cut == 0 else f"{grades[cut]} or below"
    above = grades[-1] if cut == len(grades) - 2 else f"{grades[cut + 1]} or above"
    sides = (below, above) if against > of else (above, below)
    return _Contrast(*sides, "log odds", outputs)


def _of_trees(head: Head, columns: Float32) -> Float64:
    """What each column adds to each output by way of the trees; last, what they give on average.

    Returns:
        float64 (n_outputs, n_columns + 1).
    """
    factors = np.array(head.card.tree_factors)
    if not factors.any():
        return np.zeros((len(factors), columns.shape[1] + 1))
    found = boosting.contributions(head.booster, columns, head.card.n_outputs)[0]
    return np.asarray(factors[:, np.newaxis] * found)


def spread(
    head: Head, row: Float32, found: Contributions, parts: Mapping[str, Float32]
) -> dict[str, Float64]:
    """Spread contributions over the places that the columns' values come from.

    What a linear weight does to a sum it does to each of its terms, so that a place adds its weight
    times how far it lies above an even share of the mean image's value. What a tree makes of a
    column goes to the places where the column departs from that mean in the direction in which it
    departs as a whole.

    Args:
        head: gave the contributions.
        row: float32 (width,), what it gave them for.
        found: one of what `contributions` returned.
        parts: for each block the head looks at, float32 (n_columns, ...): over all places, the
            parts of a column sum to its value in the row.

    Returns:
        For each block, float64 (...): together they sum to score - base.
    """
    columns = head.scaling.scale(row[np.newaxis])[0].astype(np.float64)
    means = head.arrays["column_means"].astype(np.float64)
    spreads = {}
    for block, where, length in zip(
        head.scaling.blocks, head.scaling.slices, head.scaling.lengths(row), strict=True
    ):
        places = parts[block.name].shape[1:]
        scaled = parts[block.name].reshape(len(parts[block.name]), -1) / np.float64(length)
        wanted = columns[where]
        # Of rounding: parts come from another pass than the row, maybe of another machine.
        scaled += (wanted - scaled.sum(axis=1))[:, np.newaxis] / scaled.shape[1]
        excess = scaled - means[where][:, np.newaxis] / scaled.shape[1]
        by_places = found.weights[where] @ excess + found.trees[where] @ _shares(excess)
        spreads[block.name] = by_places.reshape(places)
    return spreads


def _shares(excess: Float64) -> Float64:
    """Shares of places in a column, from what each has above an even part of the mean.

    Args:
        excess: float64 (n_columns, n_places).

    Returns:
        float64 (n_columns, n_places), not negative; rows sum to 1.
    """
    along = np.maximum(excess * np.sign(excess.sum(axis=1, keepdims=True)), 0)
    total = along.sum(axis=1, keepdims=True)
    even = np.full_like(along, 1 / along.shape[1])
    return np.asarray(np.divide(along, total, out=even, where=total > 0))
