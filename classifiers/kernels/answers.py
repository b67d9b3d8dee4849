"""The loops from scores to answers, of one head or many. Knows nothing of cards or files."""

from typing import Any

import numba
import numpy as np

from classifiers.links import CLASSES, EACH, GRADES, NUMBER


@numba.njit(cache=True, nogil=True)
def add_linear(columns: Any, linear: Any, intercept: Any, scores: Any) -> None:  # noqa: ANN401  numba's own types
    """Write the scores of one head's linear base; arguments as of `linear_scores`."""
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
def spread(raw: Any, n_outputs: Any, links: Any, doubts: Any, answers: Any) -> None:  # noqa: ANN401  numba's own types
    """Write what scores stand for; arguments as of `to_answers`."""
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
