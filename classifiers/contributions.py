"""Why a head prefers one label to another: what each column, and each place, adds to its score.

Knows nothing of images: a place is wherever parts of a column's value come from.

The score is the logarithm of how many times likelier one label is than another. It is linear in
what the head mixes, so it falls apart without a remainder: the linear part by columns, relative to
the mean of the images learnt from; the trees by LightGBM's exact Shapley values, relative to their
expected score. What is left is the score of a mean image, the base.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from classifiers import boosting
from classifiers.head import Head, check_width
from classifiers.probabilities import linear_scores

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Contributions:
    """What each column of one row adds to the score of one label against another.

    Attributes:
        of, against: the likeliest label, and the likeliest of the others.
        score: log(probability of `of` / probability of `against`); base + linear + trees.
        base: the score of a mean image of those the head learnt from.
        weights: float64 (n_columns,), what the linear part multiplies columns by.
        linear: float64 (n_columns,), what columns add by way of the linear part.
        trees: float64 (n_columns,), what columns add by way of the trees.
    """

    of: str
    against: str
    score: float
    base: float
    weights: Float64
    linear: Float64
    trees: Float64


def contributions(head: Head, row: Float32) -> Contributions:
    """Return why a head gives its answer.

    Args:
        head: binary or multiclass.
        row: float32 (width,), a row of the feature matrix as the backbone made it.

    Raises:
        SpaceMismatch: if the row has another width.
    """
    check_width(row[np.newaxis], head.card.width)
    columns = head.scaling.scale(row[np.newaxis])
    contrast, of, against = _contrast(head.answers_of(columns)[0], head.card.n_outputs)
    means, weights = head.arrays["column_means"], contrast @ head.arrays["linear"].astype(float)
    linear = weights * (columns[0].astype(np.float64) - means)
    trees, expected = _of_trees(head, columns, contrast)
    middle = linear_scores(means[np.newaxis], head.arrays["linear"], head.arrays["intercept"])[0]
    base = float(contrast @ middle) + expected
    score = base + float(linear.sum() + trees.sum())
    return Contributions(
        head.classes[of], head.classes[against], score, base, weights, linear, trees
    )


def _contrast(probabilities: Float64, n_outputs: int) -> tuple[Float64, int, int]:
    """What outputs are multiplied by to give the score, and the two classes that it is about."""
    of = int(probabilities.argmax())
    against = int(np.where(np.arange(len(probabilities)) == of, -1, probabilities).argmax())
    if n_outputs == 1:
        return np.array([1.0 if of == 1 else -1.0]), of, against
    contrast = np.zeros(n_outputs)
    contrast[of], contrast[against] = 1.0, -1.0
    return contrast, of, against


def _of_trees(head: Head, columns: Float32, contrast: Float64) -> tuple[Float64, float]:
    """What each column adds by way of the trees, and what the trees give on average."""
    factors = np.array(head.card.tree_factors)
    if not factors.any():
        return np.zeros(columns.shape[1]), 0.0
    found = boosting.contributions(head.booster, columns, head.card.n_outputs)[0]
    shares = (contrast * factors) @ found
    return shares[:-1], float(shares[-1])


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
        found: what `contributions` returned.
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
