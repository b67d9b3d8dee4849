"""L2 logistic and ridge regression for few rows and many columns, at several strengths in one go.

Knows nothing of folds, blocks or heads.

The columns are first turned into as many as there are rows (the part of the space in which the rows
lie), where Newton's method needs a handful of small systems; each strength starts where the last
one ended. Hastie, Tibshirani and Friedman, "The elements of statistical learning", 18.3.5.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

Float64 = npt.NDArray[np.float64]

MAX_RANK = 256
"""Directions kept: those beyond them carried nothing on any set that was tried."""

_NEGLIGIBLE = 1e-7
_MOST_STEPS = 20
_SETTLED = 1e-5
_ARMIJO = 1e-4
_SHORTEST_STEP = 1e-3
_INTERCEPT_PENALTY = 1e-6

_ROWS_PER_COLUMN = 1.5
"""With fewer, a step is cheaper in a system of rows."""

_Solve = Callable[[Float64, Float64], Float64]
"""A step, from the curvature at each row and what it must add up to."""


@dataclass(frozen=True, slots=True, eq=False)
class Reduced:
    """Rows in the space that they span.

    Attributes:
        rows: float64 (n_rows, rank).
        back: float64 (n_columns, rank); coefficients there are `back @` coefficients here.
    """

    rows: Float64
    back: Float64


def reduce_columns(A: Float64) -> Reduced:
    """Turn columns into at most `MAX_RANK` that keep all inner products of rows (the largest part).

    Args:
        A: float64 (n_rows, n_columns), centred.
    """
    n, d = A.shape
    gram = A @ A.T if n <= d else A.T @ A
    energy, axes = np.linalg.eigh(gram)
    kept = np.argsort(energy)[::-1][:MAX_RANK]
    kept = kept[energy[kept] > max(float(energy.max(initial=0.0)) * _NEGLIGIBLE, 1e-12)]
    energy, axes = energy[kept], axes[:, kept]
    if n <= d:
        return Reduced(axes * np.sqrt(energy), A.T @ (axes / np.sqrt(energy)))
    return Reduced(A @ axes, axes)


def fit_paths(
    Z: Float64, targets: Float64, strengths: Sequence[float], weights: Float64, *, squared: bool
) -> Float64:
    """Fit one regression for each target and strength.

    Args:
        Z: float64 (n_rows, rank).
        targets: float64 (n_rows, n_outputs), 0 or 1; any number where the loss is squared.
        strengths: C, ascending: the larger, the less it is held back.
        weights: float64 (n_rows,).
        squared: least squares (ridge); otherwise the logistic loss.

    Returns:
        float64 (n_outputs, n_strengths, rank + 1), the intercept last.
    """
    A = np.concatenate([Z, np.ones((len(Z), 1))], axis=1)
    solvers = _solvers(Z, A, strengths)
    paths = np.zeros((targets.shape[1], len(strengths), A.shape[1]))
    for path, t in zip(paths, targets.T, strict=True):
        beta = np.zeros(A.shape[1])
        for at, (penalty, solve) in enumerate(solvers):
            if squared:
                beta = solve(weights, A.T @ (weights * t))
            else:
                beta = _newton(A, t, penalty, solve, beta, weights)
            path[at] = beta
    return paths


def _solvers(Z: Float64, A: Float64, strengths: Sequence[float]) -> list[tuple[Float64, _Solve]]:
    """Of each strength, its penalty and what solves for a step, by columns or by rows."""
    penalties = [np.append(np.full(Z.shape[1], 1 / C), _INTERCEPT_PENALTY) for C in strengths]
    if len(A) > _ROWS_PER_COLUMN * A.shape[1]:
        return [(penalty, partial(_solved_by_columns, A, penalty)) for penalty in penalties]
    inner = Z @ Z.T
    weighted = [C * inner + 1 / _INTERCEPT_PENALTY for C in strengths]
    return [
        (penalty, partial(_solved_by_rows, A, penalty, K))
        for penalty, K in zip(penalties, weighted, strict=True)
    ]


def _newton(
    A: Float64, t: Float64, penalty: Float64, solve: _Solve, start: Float64, w: Float64
) -> Float64:
    def loss(beta: Float64, z: Float64) -> float:
        return float((w * (np.logaddexp(0, z) - t * z)).sum() + 0.5 * (penalty * beta**2).sum())

    beta, z = start, A @ start
    value = loss(beta, z)
    for _ in range(_MOST_STEPS):
        p = 1 / (1 + np.exp(-z))
        gradient = A.T @ (w * (p - t)) + penalty * beta
        step = solve(w * p * (1 - p), -gradient)
        length, slope, move = 1.0, float(gradient @ step), A @ step
        found = loss(beta + step, z + move)
        while found > value + _ARMIJO * length * slope and length > _SHORTEST_STEP:
            length /= 2
            found = loss(beta + length * step, z + length * move)
        beta, z, gained, value = beta + length * step, z + length * move, value - found, found
        if gained < _SETTLED * max(1.0, abs(value)):
            break
    return beta


def _solved_by_columns(
    A: Float64, penalty: Float64, curvature: Float64, target: Float64
) -> Float64:
    """Solve (A' diag(curvature) A + diag(penalty)) x = target."""
    scaled = np.sqrt(curvature)[:, None] * A
    hessian = scaled.T @ scaled
    hessian[np.diag_indices(len(hessian))] += penalty
    return _solved(hessian, target)


def _solved_by_rows(
    A: Float64, penalty: Float64, K: Float64, curvature: Float64, target: Float64
) -> Float64:
    """Solve the same with a system of as many unknowns as rows (Woodbury); K: A P^-1 A'."""
    root = np.sqrt(curvature)
    system = root[:, None] * K * root
    system[np.diag_indices(len(system))] += 1
    x = target / penalty
    return x - (A.T @ (root * _solved(system, root * (A @ x)))) / penalty


def _solved(positive: Float64, target: Float64) -> Float64:
    from scipy.linalg import cho_factor, cho_solve  # late: 0.07 s, and only learning needs it

    factor = cho_factor(positive, lower=True, overwrite_a=True, check_finite=False)
    return np.asarray(cho_solve(factor, target, check_finite=False))
