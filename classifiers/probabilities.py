"""Raw scores into probabilities: one rule, for one head and for many at once."""

from typing import Any

import numba
import numpy as np
import numpy.typing as npt

Float64 = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


def to_probabilities(raw: Float64, n_outputs: IntArray) -> Float64:
    """Return the probabilities of heads side by side: float64 (n_images, classes of all heads).

    One output is the log-odds of the second of two classes; several are softmax scores. The
    probabilities of one head sum to 1.

    Args:
        raw: float64 (n_images, outputs of all heads).
        n_outputs: int64 (n_heads,), outputs of each head.
    """
    probabilities = np.empty((len(raw), int(np.maximum(n_outputs, 2).sum())))
    _spread(np.ascontiguousarray(raw), n_outputs, probabilities)
    return probabilities


@numba.njit(cache=True, nogil=True)
def _spread(raw: Any, n_outputs: Any, probabilities: Any) -> None:  # noqa: ANN401  numba's own types
    for row in range(raw.shape[0]):
        source, target = 0, 0
        for outputs in n_outputs:
            classes = max(outputs, 2)
            top = 0.0 if outputs == 1 else raw[row, source]
            for output in range(outputs):
                top = max(top, raw[row, source + output])
            if outputs == 1:
                probabilities[row, target] = np.exp(-top)
                probabilities[row, target + 1] = np.exp(raw[row, source] - top)
            else:
                for output in range(outputs):
                    probabilities[row, target + output] = np.exp(raw[row, source + output] - top)
            total = 0.0
            for number in range(classes):
                total += probabilities[row, target + number]
            for number in range(classes):
                probabilities[row, target + number] /= total
            source += outputs
            target += classes
