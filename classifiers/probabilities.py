"""Scores and the answers they stand for: one rule, for one head and for many at once."""

from typing import Any

import numba
import numpy as np
import numpy.typing as npt

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

CLASSES, EACH, GRADES, NUMBER = 0, 1, 2, 3
"""Links, how the scores of a head become answers.

- classes: one score is the log-odds of the second of two classes; several are softmax scores.
- each: a score is the log-odds of its own label.
- grades: a score is the log-odds of a grade above its own.
- number: the score is the answer.
"""


SURE = 1e-12
"""No probability is taken to be nearer than this to 0 or 1."""


def answer_sizes(n_outputs: IntArray, links: IntArray) -> IntArray:
    """Return how many answers heads have: int64 (n_heads,)."""
    sizes: IntArray = n_outputs + ((links == CLASSES) & (n_outputs == 1)) + (links == GRADES)
    return sizes


def to_answers(
    raw: Float64, n_outputs: IntArray, links: IntArray, doubts: Float64 | None = None
) -> Float64:
    """Return the answers of heads side by side: float64 (n_images, answers of all heads).

    Probabilities, which sum to 1 for classes and for grades; or the number.

    Args:
        raw: float64 (n_images, outputs of all heads).
        n_outputs: int64 (n_heads,), outputs of each head.
        links: int64 (n_heads,), the link of each head.
        doubts: float64 (n_heads,), the share of an even guess in the probabilities of each head, as
            of `doubted`; none by default.
    """
    answers = np.empty((len(raw), int(answer_sizes(n_outputs, links).sum())))
    doubts = np.zeros(len(links)) if doubts is None else doubts
    _spread(np.ascontiguousarray(raw), n_outputs, links, doubts, answers)
    return answers


def doubted(p: Float64, doubt: float, among: int) -> Float64:
    """Return probabilities of which a share is an even guess among so many, of the same shape."""
    return p + doubt * (1 / among - p)


def log_odds(p: Float64) -> Float64:
    """Return the scores that probabilities of a yes came from, of the same shape."""
    inside = np.clip(p, SURE, 1 - SURE)
    return np.asarray(np.log(inside) - np.log1p(-inside))


def linear_scores(columns: Float32, linear: Float32, intercept: Float64) -> Float64:
    """Return columns @ linear.T + intercept: float64 (n_images, n_outputs).

    Summed in float64 as `mix` does it: over as many columns, a score is the same to the last bit.

    Args:
        columns: float32 (n_images, n_columns).
        linear: float32 (n_outputs, n_columns).
        intercept: float64 (n_outputs,).
    """
    scores = np.empty((len(columns), len(intercept)))
    _add_linear(columns, linear, intercept, scores)
    return scores


@numba.njit(cache=True, nogil=True)
def _add_linear(columns: Any, linear: Any, intercept: Any, scores: Any) -> None:  # noqa: ANN401  numba's own types
    for row in range(columns.shape[0]):
        for output in range(intercept.size):
            scores[row, output] = intercept[output] + _product(columns[row], linear[output])


@numba.njit(cache=True, nogil=True, fastmath={"reassoc"})
def _product(x: Any, weights: Any) -> Any:  # noqa: ANN401  numba's own types
    # Freed of its order, the sum takes a third of the time. Products of two float32 are exact here,
    # and all heads go through this one loop, so that a head says the same alone and among others.
    total = 0.0
    for column in range(x.size):
        total += np.float64(x[column]) * np.float64(weights[column])
    return total


@numba.njit(cache=True, nogil=True)
def _spread(raw: Any, n_outputs: Any, links: Any, doubts: Any, answers: Any) -> None:  # noqa: ANN401  numba's own types
    for row in range(raw.shape[0]):
        source, target = 0, 0
        for head in range(n_outputs.size):
            outputs = n_outputs[head]
            if links[head] == CLASSES and outputs == 1:
                # Without a view of its own: most heads are like this, and there may be hundreds.
                top = max(0.0, raw[row, source])
                first, second = np.exp(-top), np.exp(raw[row, source] - top)
                answers[row, target] = _doubted(first / (first + second), doubts[head], 0.5)
                answers[row, target + 1] = _doubted(second / (first + second), doubts[head], 0.5)
                source, target = source + 1, target + 2
                continue
            scores = raw[row, source : source + outputs]
            source += outputs
            if links[head] == CLASSES:
                size = outputs
                _softmax(scores, answers[row, target : target + size])
            elif links[head] == GRADES:
                size = outputs + 1
                _grades(scores, answers[row, target : target + size])
            else:
                size = outputs
                for output in range(outputs):
                    score = scores[output]
                    answer = score if links[head] == NUMBER else _logistic(score)
                    answers[row, target + output] = answer
            if links[head] != NUMBER:
                even = 0.5 if links[head] == EACH else 1 / size
                for number in range(target, target + size):
                    answers[row, number] = _doubted(answers[row, number], doubts[head], even)
            target += size


@numba.njit(cache=True, nogil=True)
def _doubted(p: Any, doubt: Any, even: Any) -> Any:  # noqa: ANN401  numba's own types
    return p + doubt * (even - p)


@numba.njit(cache=True, nogil=True)
def _logistic(score: Any) -> Any:  # noqa: ANN401  numba's own types
    e = np.exp(-abs(score))
    return 1 / (1 + e) if score >= 0 else e / (1 + e)


@numba.njit(cache=True, nogil=True)
def _softmax(scores: Any, probabilities: Any) -> None:  # noqa: ANN401  numba's own types
    top = scores[0]
    for output in range(1, scores.size):
        top = max(top, scores[output])
    for output in range(scores.size):
        probabilities[output] = np.exp(scores[output] - top)
    total = 0.0
    for number in range(probabilities.size):
        total += probabilities[number]
    for number in range(probabilities.size):
        probabilities[number] /= total


@numba.njit(cache=True, nogil=True)
def _grades(scores: Any, probabilities: Any) -> None:  # noqa: ANN401  numba's own types
    """Differences of "above grade k", which must fall with k: scores that rise meet half-way."""
    n = scores.size
    above = np.empty(n + 2)
    above[0], above[n + 1] = 1.0, 0.0
    highest = 0.0
    for grade in range(n - 1, -1, -1):
        highest = max(highest, _logistic(scores[grade]))
        above[grade + 1] = highest
    lowest = 1.0
    for grade in range(n):
        lowest = min(lowest, _logistic(scores[grade]))
        above[grade + 1] = (above[grade + 1] + lowest) / 2
    for grade in range(n + 1):
        probabilities[grade] = above[grade] - above[grade + 1]


@numba.njit(cache=True, nogil=True)
def mix(linear: Any, intercepts: Any, factors: Any, heads: Any, scaled: Any, scores: Any) -> None:  # noqa: ANN401  numba's own types
    """Turn the raw scores of trees into the scores of heads, in place.

    Args:
        linear: float32 (all outputs, width), of all heads.
        intercepts: float64 (all outputs,), of all heads.
        factors: float64 (all outputs,), what raw scores are multiplied by.
        heads: int64 (n_heads, 19), as `packed` writes it.
        scaled: float32 (n_scalings, n_rows, width).
        scores: float64 (n_rows, outputs of the heads asked), raw scores at first.
    """
    for row in range(scores.shape[0]):
        for head in range(heads.shape[0]):
            x = scaled[heads[head, 6], row]
            for output in range(heads[head, 4]):
                one, place = heads[head, 7] + output, heads[head, 5] + output
                base = intercepts[one] + _product(x, linear[one])
                scores[row, place] = base + factors[one] * scores[row, place]
