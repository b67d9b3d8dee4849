"""The plain opponent every head is measured against: L2 logistic regression on the same columns.

Of classes and of grades one for all, of several labels one for each; of numbers ridge regression.
Knows nothing of folds or trees.
"""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from classifiers.blocks import Block
from classifiers.tasks import Question

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

STRENGTHS = ((500, 10.0), (None, 3.0))
"""C up to so many images: the best fixed values on eight real image sets."""

PENALTY = 1.0
"""Of the ridge regression: scikit-learn's own; rows have length 1 on average."""


Model = Callable[[Float32], Float64]


def fit_baseline(
    Z: Float32, targets: Float64, question: Question, blocks: Sequence[Block]
) -> Model:
    """Fit the regression and return its answers as a function of columns.

    Each block is centred and scaled so that all have the same energy and a row has length 1 on
    average; classes weigh the same however many images they have.

    Args:
        Z: float32 (n_images, n_columns), scaled row by row.
        targets: float64 (n_images, n_outputs).
        question: what is asked.
        blocks: side by side in Z.

    Returns:
        Columns in, float64 (n_images, n_answers) out.
    """
    centre, factor = _equal_energy(Z, blocks)
    A = (Z - centre) * factor
    if question.is_number:
        models = [_ridge(A, targets[:, 0])]
    elif question.exclusive:
        models = [_logistic(A, question.numbers(targets))]
    else:
        models = [_yes_or_no(A, yes) for yes in targets.T]

    def answers(columns: Float32) -> Float64:
        seen = (columns - centre) * factor
        return np.concatenate([model(seen) for model in models], axis=1)

    return answers


def _logistic(A: Float32, y: IntArray) -> Model:
    from sklearn.linear_model import LogisticRegression

    strength = next(c for most, c in STRENGTHS if most is None or len(y) <= most)
    model = LogisticRegression(C=strength, class_weight="balanced", max_iter=1000).fit(A, y)
    return lambda columns: np.asarray(model.predict_proba(columns), np.float64)


def _yes_or_no(A: Float32, yes: Float64) -> Model:
    if 0 < yes.sum() < len(yes):
        both = _logistic(A, yes.astype(np.int64))
        return lambda columns: both(columns)[:, 1:]
    # A rare label may be missing from a fold; then nothing speaks for or against it.
    return lambda columns: np.full((len(columns), 1), yes.mean())


def _ridge(A: Float32, values: Float64) -> Model:
    from sklearn.linear_model import Ridge

    # Columns are float32, and so would be what is fitted: a large mean would leave it no digits.
    middle, unit = values.mean(), values.std() or 1.0
    model = Ridge(alpha=PENALTY).fit(A, (values - middle) / unit)
    return lambda columns: middle + unit * np.asarray(model.predict(columns), np.float64)[:, None]


def _equal_energy(Z: Float32, blocks: Sequence[Block]) -> tuple[Float32, Float32]:
    centre = Z.mean(axis=0)
    factor = np.zeros_like(centre)
    start = 0
    for block in blocks:
        stop = start + block.stop - block.start
        energy = float(np.mean(np.sum((Z[:, start:stop] - centre[start:stop]) ** 2, axis=1)))
        if energy > 0:
            factor[start:stop] = 1 / np.sqrt(energy * len(blocks))
        start = stop
    return centre, factor
