"""The plain opponent every head is measured against: L2 logistic regression on the same columns.

Knows nothing of folds or trees.
"""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from classifiers.blocks import Block

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

STRENGTHS = ((500, 10.0), (None, 3.0))
"""C up to so many images: the best fixed values on eight real image sets."""


def fit_baseline(Z: Float32, y: IntArray, blocks: Sequence[Block]) -> Callable[[Float32], Float64]:
    """Fit the logistic regression and return its probabilities as a function of columns.

    Each block is centred and scaled so that all have the same energy and a row has length 1 on
    average; classes weigh the same however many images they have.

    Args:
        Z: float32 (n_images, n_columns), scaled row by row.
        y: int64 (n_images,), class numbers, each present.
        blocks: side by side in Z.
    """
    from sklearn.linear_model import LogisticRegression

    centre, factor = _equal_energy(Z, blocks)
    strength = next(c for most, c in STRENGTHS if most is None or len(y) <= most)
    model = LogisticRegression(C=strength, class_weight="balanced", max_iter=1000)
    model.fit((Z - centre) * factor, y)

    def probabilities(columns: Float32) -> Float64:
        found: Float64 = model.predict_proba((columns - centre) * factor).astype(np.float64)
        return found

    return probabilities


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
