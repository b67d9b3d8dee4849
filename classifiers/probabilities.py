"""Scores and the answers they stand for: one rule, for one head and for many at once."""

import numpy as np
import numpy.typing as npt

from classifiers.links import CLASSES, GRADES

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

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
    from classifiers.kernels.answers import spread

    answers = np.empty((len(raw), int(answer_sizes(n_outputs, links).sum())))
    doubts = np.zeros(len(links)) if doubts is None else doubts
    spread(np.ascontiguousarray(raw), n_outputs, links, doubts, answers)
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

    Summed in float64 as `kernels.answers.mix` does it: over as many columns, a score is the same to
    the last bit.

    Args:
        columns: float32 (n_images, n_columns).
        linear: float32 (n_outputs, n_columns).
        intercept: float64 (n_outputs,).
    """
    from classifiers.kernels.answers import add_linear

    scores = np.empty((len(columns), len(intercept)))
    add_linear(columns, linear, intercept, scores)
    return scores
