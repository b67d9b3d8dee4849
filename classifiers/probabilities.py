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


_SIDE_BY_SIDE = 4
"""Linear scores added up together."""

SURE = 1e-12
"""No probability is taken to be nearer than this to 0 or 1."""


def answer_sizes(n_outputs: IntArray, links: IntArray) -> IntArray:
    """Return how many answers heads have: int64 (n_heads,)."""
    sizes: IntArray = n_outputs + ((links == CLASSES) & (n_outputs == 1)) + (links == GRADES)
    return sizes


def to_answers(raw: Float64, n_outputs: IntArray, links: IntArray) -> Float64:
    """Return the answers of heads side by side: float64 (n_images, answers of all heads).

    Probabilities, which sum to 1 for classes and for grades; or the number.

    Args:
        raw: float64 (n_images, outputs of all heads).
        n_outputs: int64 (n_heads,), outputs of each head.
        links: int64 (n_heads,), the link of each head.
    """
    answers = np.empty((len(raw), int(answer_sizes(n_outputs, links).sum())))
    _spread(np.ascontiguousarray(raw), n_outputs, links, answers)
    return answers


def log_odds(p: Float64) -> Float64:
    """Return the scores that probabilities of a yes came from, of the same shape."""
    inside = np.clip(p, SURE, 1 - SURE)
    return np.asarray(np.log(inside) - np.log1p(-inside))


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
def _spread(raw: Any, n_outputs: Any, links: Any, answers: Any) -> None:  # noqa: ANN401  numba's own types
    for row in range(raw.shape[0]):
        source, target = 0, 0
        for head in range(n_outputs.size):
            outputs = n_outputs[head]
            if links[head] == CLASSES and outputs == 1:
                # Without a view of its own: most heads are like this, and there may be hundreds.
                top = max(0.0, raw[row, source])
                first, second = np.exp(-top), np.exp(raw[row, source] - top)
                answers[row, target] = first / (first + second)
                answers[row, target + 1] = second / (first + second)
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
            target += size


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
    scalings, outputs, places = _asked_outputs(heads, scores.shape[1])
    sums = np.empty(places.size)
    for row in range(scores.shape[0]):
        for at in range(0, places.size, _SIDE_BY_SIDE):
            stop = min(at + _SIDE_BY_SIDE, places.size)
            alike = stop == at + _SIDE_BY_SIDE and (scalings[at:stop] == scalings[at]).all()
            if alike:
                x = scaled[scalings[at], row]
                _add_four(x, linear, intercepts, outputs[at:stop], sums[at:stop])
            else:
                for place in range(at, stop):
                    x, one = scaled[scalings[place], row], slice(outputs[place], outputs[place] + 1)
                    add_linear(x, linear[one], intercepts[one], sums[place : place + 1])
        for place in range(places.size):
            factor = factors[outputs[place]]
            scores[row, places[place]] = sums[place] + factor * scores[row, places[place]]


@numba.njit(cache=True, nogil=True)
def _asked_outputs(heads: Any, most: Any) -> Any:  # noqa: ANN401  numba's own types
    """Return of each output: its scaling, its place among all outputs and in the answer."""
    scalings, outputs = np.empty(most, np.int64), np.empty(most, np.int64)
    places, count = np.empty(most, np.int64), 0
    for head in range(heads.shape[0]):
        for output in range(heads[head, 4]):
            scalings[count], outputs[count] = heads[head, 6], heads[head, 7] + output
            places[count] = heads[head, 5] + output
            count += 1
    return scalings[:count], outputs[:count], places[:count]


@numba.njit(cache=True, nogil=True)
def _add_four(x: Any, linear: Any, intercepts: Any, outputs: Any, sums: Any) -> None:  # noqa: ANN401  numba's own types
    """Do what `add_linear` does, for four outputs at once.

    Each sum still runs column by column; but while one addition waits for the last, three others
    are under way.
    """
    first, second, third, fourth = outputs[0], outputs[1], outputs[2], outputs[3]
    a, b, c, d = intercepts[first], intercepts[second], intercepts[third], intercepts[fourth]
    for column in range(x.size):
        value = np.float64(x[column])
        a += value * np.float64(linear[first, column])
        b += value * np.float64(linear[second, column])
        c += value * np.float64(linear[third, column])
        d += value * np.float64(linear[fourth, column])
    sums[0], sums[1], sums[2], sums[3] = a, b, c, d
