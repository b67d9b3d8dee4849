"""L2 logistic and ridge regression for few rows and many columns, at several strengths in one go.

Knows nothing of folds, blocks or heads.

The columns are first turned into as many as there are rows (the part of the space in which the rows
lie), where Newton's method needs a handful of small systems; each strength starts where the last
one ended. Hastie, Tibshirani and Friedman, "The elements of statistical learning", 18.3.5.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Float64 = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

MAX_RANK = 256
"""Directions kept: those beyond them carried nothing on any set that was tried."""

_NEGLIGIBLE = 1e-7
_MOST_STEPS = 20
_SETTLED = 1e-5
_ARMIJO = 1e-4
_SHORTEST_STEP = 1e-3
_INTERCEPT_PENALTY = 1e-6


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


def fit_path(
    Z: Float64, target: Float64, strengths: Sequence[float], weights: Float64, *, squared: bool
) -> Float64:
    """Fit one regression for each strength.

    Args:
        Z: float64 (n_rows, rank).
        target: float64 (n_rows,), 0 or 1; any number where the loss is squared.
        strengths: C, ascending: the larger, the less it is held back.
        weights: float64 (n_rows,).
        squared: least squares (ridge); otherwise the logistic loss.

    Returns:
        float64 (n_strengths, rank + 1), the intercept last.
    """
    A = np.concatenate([Z, np.ones((len(Z), 1))], axis=1)
    beta = np.zeros(A.shape[1])
    path = []
    for strength in strengths:
        if squared:
            beta = _ridge(A, target, strength, weights)
        else:
            beta = _newton(A, target, strength, beta, weights)
        path.append(beta)
    return np.array(path)


def fit_few(
    Z: Float64,
    rows: IntArray,
    targets: Float64,
    strength: float,
    w: Float64,
    *,
    squared: bool = False,
) -> Float64:
    """Fit one regression for each target on some rows, the cheaper the fewer there are.

    Args:
        Z: float64 (n_rows, rank).
        rows: int64 (n_few,), those to fit on.
        targets: float64 (n_rows, n_outputs), 0 or 1; any number where the loss is squared.
        strength: C.
        w: float64 (n_rows,), weights.
        squared: as in `fit_path`.

    Returns:
        float64 (n_outputs, rank + 1), the intercept last.
    """
    if 2 * len(rows) > Z.shape[1]:
        return np.stack(
            [fit_path(Z[rows], t, [strength], w[rows], squared=squared)[0] for t in targets[rows].T]
        )
    # The penalty keeps coefficients in the span of the rows: that is all that need be searched.
    own = reduce_columns(Z[rows])
    betas = np.stack(
        [fit_path(own.rows, t, [strength], w[rows], squared=squared)[0] for t in targets[rows].T]
    )
    return np.concatenate([betas[:, :-1] @ own.back.T, betas[:, -1:]], axis=1)


def _penalty(n_columns: int, strength: float) -> Float64:
    penalty = np.full(n_columns, 1 / strength)
    penalty[-1] = _INTERCEPT_PENALTY
    return penalty


def _ridge(A: Float64, t: Float64, strength: float, w: Float64) -> Float64:
    hessian = (A.T * w) @ A
    hessian[np.diag_indices(A.shape[1])] += _penalty(A.shape[1], strength)
    return _solved(hessian, A.T @ (w * t))


def _newton(A: Float64, t: Float64, strength: float, start: Float64, w: Float64) -> Float64:
    penalty = _penalty(A.shape[1], strength)
    diagonal = np.diag_indices(A.shape[1])

    def loss(beta: Float64, z: Float64) -> float:
        return float((w * (np.logaddexp(0, z) - t * z)).sum() + 0.5 * (penalty * beta**2).sum())

    beta, z = start, A @ start
    value = loss(beta, z)
    for _ in range(_MOST_STEPS):
        p = 1 / (1 + np.exp(-z))
        gradient = A.T @ (w * (p - t)) + penalty * beta
        hessian = (A.T * (w * p * (1 - p))) @ A
        hessian[diagonal] += penalty
        step = _solved(hessian, -gradient)
        length, slope, move = 1.0, float(gradient @ step), A @ step
        found = loss(beta + step, z + move)
        while found > value + _ARMIJO * length * slope and length > _SHORTEST_STEP:
            length /= 2
            found = loss(beta + length * step, z + length * move)
        beta, z, gained, value = beta + length * step, z + length * move, value - found, found
        if gained < _SETTLED * max(1.0, abs(value)):
            break
    return beta


def _solved(positive: Float64, target: Float64) -> Float64:
    from scipy.linalg import solve  # late: 0.07 s, and nobody who only answers needs it

    return np.asarray(solve(positive, target, assume_a="pos", check_finite=False))
