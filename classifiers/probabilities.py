"""Scores and their probabilities: one rule, for one head and for many at once."""

from typing import Any

import numba
import numpy as np
import numpy.typing as npt

Float32 = npt.NDArray[np.float32]
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


def linear_scores(columns: Float32, linear: Float32, intercept: Float64) -> Float64:
    """Return columns @ linear.T + intercept: float64 (n_images, n_outputs).

    Summed column by column in float64: a score is the same, to the last bit, alone and among
    others, and whether columns that do not count are there or not.

    Args:
        columns: float32 (n_images, n_columns).
        linear: float32 (n_outputs, n_columns).
        intercept: float64 (n_outputs,).
    """
    scores = np.empty((len(columns), len(intercept)))
    for row in range(len(columns)):
        add_linear(columns[row], linear, intercept, scores[row])
    return scores


@numba.njit(cache=True, nogil=True)
def add_linear(x: Any, linear: Any, intercept: Any, scores: Any) -> None:  # noqa: ANN401  numba's own types
    """Write the linear scores of one row, float32 (n_columns,), to float64 (n_outputs,)."""
    for output in range(intercept.size):
        total = intercept[output]
        for column in range(x.size):
            total += np.float64(x[column]) * np.float64(linear[output, column])
        scores[output] = total


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


@numba.njit(cache=True, nogil=True)
def mix(linear: Any, intercepts: Any, factors: Any, heads: Any, scaled: Any, scores: Any) -> None:  # noqa: ANN401  numba's own types
    """Turn the raw scores of trees into the scores of heads, in place.

    Args:
        linear: float32 (all outputs * width,), of all heads.
        intercepts: float64 (all outputs,), of all heads.
        factors: float64 (all outputs,), what raw scores are multiplied by.
        heads: int64 (n_heads, 8), as `walk` takes them, the first linear output in the last column.
        scaled: float32 (n_scalings, n_rows, width).
        scores: float64 (n_rows, outputs of the heads asked), raw scores at first.
    """
    width = scaled.shape[2]
    parts = np.empty(max(1, scores.shape[1]))
    for row in range(scores.shape[0]):
        for head in range(heads.shape[0]):
            n_outputs, first_output, first = heads[head, 4], heads[head, 5], heads[head, 7]
            weights = linear[first * width : (first + n_outputs) * width]
            x = scaled[heads[head, 6], row]
            own = parts[:n_outputs]
            wide = weights.reshape(n_outputs, width)
            add_linear(x, wide, intercepts[first : first + n_outputs], own)
            for output in range(n_outputs):
                place = first_output + output
                scores[row, place] = own[output] + factors[first + output] * scores[row, place]
