"""The single classical methods a head must beat, each tuned, each on the penultimate vector alone.

Every method is a function of a Draw that returns one score per test image and class,
float64 (n_test, n_classes), higher is likelier.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import lightgbm as lgb
import numpy as np
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.preprocessing import StandardScaler

if TYPE_CHECKING:
    from collections.abc import Callable

    from cases import Draw
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Fit = Callable[[Floats, NDArray[np.int64], Floats], Floats]

PENULTIMATE = 1280
C_GRID = tuple(10.0 ** np.arange(-1, 4.01, 0.5))
K_GRID = (1, 3, 5, 9, 15, 25)
BOOSTING_GRID: tuple[dict[str, Any], ...] = (
    {"extra_trees": True, "num_leaves": 15, "min_data_in_leaf": 2, "num_iterations": 150},
    {"extra_trees": True, "num_leaves": 4, "min_data_in_leaf": 3, "num_iterations": 200},
    {"num_leaves": 7, "min_data_in_leaf": 3, "lambda_l2": 1.0, "num_iterations": 150},
    {"num_leaves": 4, "min_data_in_leaf": 5, "num_iterations": 60},
)


def auc(y: NDArray[np.int64], scores: Floats) -> float:
    """One-versus-rest, macro; the plain AUC for two classes."""
    if scores.shape[1] == 2:
        return float(roc_auc_score(y, scores[:, 1] - scores[:, 0]))
    return float(np.mean([roc_auc_score(y == c, scores[:, c]) for c in range(scores.shape[1])]))


def log_probabilities(z: Floats) -> Floats:
    """Log odds (n,) or (n, 1), or one score per class (n, n_classes) -> float64 (n, n_classes).

    Scores of several classes are comparable between images only after this.
    """
    wide = np.concatenate([-z, z], axis=1) / 2 if z.shape[1:] == (1,) else z
    wide = np.stack([-z, z], axis=1) / 2 if z.ndim == 1 else wide
    return np.asarray(wide - np.logaddexp.reduce(wide, axis=1, keepdims=True))


def _loss(y: NDArray[np.int64], z: Floats) -> float:
    return float((np.logaddexp.reduce(z, axis=1) - z[np.arange(len(y)), y]).mean())


def _unit(x: NDArray[np.float32]) -> Floats:
    wide = x[:, :PENULTIMATE].astype(np.float64)
    return np.asarray(wide / np.maximum(np.linalg.norm(wide, axis=1, keepdims=True), 1e-12))


def _folds(d: Draw, k: int = 5) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    fewest = min(len(np.unique(d.groups[d.y == c])) for c in np.unique(d.y))
    splitter = StratifiedGroupKFold(max(2, min(k, fewest)), shuffle=True, random_state=0)
    return list(splitter.split(d.y, d.y, d.groups))


def _tuned(d: Draw, X: Floats, X_test: Floats, fits: list[Fit], by: str, k: int = 5) -> Floats:
    """The fit with the best cross-validated loss or AUC, refitted on everything."""
    goodness = []
    for fit in fits:
        oof = np.zeros((len(d.y), int(d.y.max()) + 1))
        for train, held in _folds(d, k):
            oof[held] = fit(X[train], d.y[train], X[held])
        goodness.append(-_loss(d.y, oof) if by == "loss" else auc(d.y, oof))
    return fits[int(np.argmax(goodness))](X, d.y, X_test)


def _logistic(C: float) -> Fit:
    def fit(X: Floats, y: NDArray[np.int64], X_new: Floats) -> Floats:
        # Rotating onto the samples' own span changes nothing but the time it takes.
        mean = X.mean(axis=0)
        basis = np.linalg.svd(X - mean, full_matrices=False)[2].T
        model = LogisticRegression(C=C, max_iter=500).fit((X - mean) @ basis, y)
        return log_probabilities(model.decision_function((X_new - mean) @ basis))

    return fit


def _logistic_tuned(d: Draw, X: Floats, X_test: Floats) -> Floats:
    energy = np.sqrt(((X - X.mean(axis=0)) ** 2).sum(axis=1).mean())
    return _tuned(d, X / energy, X_test / energy, [_logistic(C) for C in C_GRID], "loss")


def logistic_normalised(d: Draw) -> Floats:
    return _logistic_tuned(d, _unit(d.X), _unit(d.X_test))


def logistic_standardised(d: Draw) -> Floats:
    scaler = StandardScaler().fit(d.X[:, :PENULTIMATE])
    X, X_test = (scaler.transform(x[:, :PENULTIMATE]) for x in (d.X, d.X_test))
    return _logistic_tuned(d, X.astype(np.float64), X_test.astype(np.float64))


def shrinkage_lda(d: Draw) -> Floats:
    model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto").fit(_unit(d.X), d.y)
    return log_probabilities(model.decision_function(_unit(d.X_test)))


def _neighbours(k: int) -> Fit:
    def fit(X: Floats, y: NDArray[np.int64], X_new: Floats) -> Floats:
        near = X_new @ X.T
        nearest = np.argsort(-near, axis=1)[:, :k]
        weight = np.maximum(np.take_along_axis(near, nearest, axis=1), 0)
        classes = range(int(y.max()) + 1)
        votes = [(weight * (y[nearest] == c)).sum(axis=1) for c in classes]
        # Ties of few neighbours are broken by the mean similarity to the class.
        ties = [near[:, y == c].mean(axis=1) for c in classes]
        return np.stack(votes, axis=1) / k + 1e-3 * np.stack(ties, axis=1)

    return fit


def nearest_neighbours(d: Draw) -> Floats:
    fits = [_neighbours(k) for k in K_GRID]
    return _tuned(d, _unit(d.X), _unit(d.X_test), fits, "auc")


def _boosting(params: dict[str, Any]) -> Fit:
    def fit(X: Floats, y: NDArray[np.int64], X_new: Floats) -> Floats:
        n_classes = int(y.max()) + 1
        task: dict[str, Any] = {"objective": "binary"}
        if n_classes > 2:
            task = {"objective": "multiclass", "num_class": n_classes}
        booster = lgb.train(
            {"verbose": -1, "num_threads": 1, "seed": 0} | task | params, lgb.Dataset(X, y)
        )
        return log_probabilities(np.asarray(booster.predict(X_new, raw_score=True)))

    return fit


def boosting_tuned(d: Draw) -> Floats:
    shared = {"feature_fraction": 0.1, "learning_rate": 0.05, "min_data_in_bin": 1}
    fits = [_boosting(shared | params) for params in BOOSTING_GRID]
    return _tuned(d, _unit(d.X), _unit(d.X_test), fits, "loss", 3)


def boosting_defaults(d: Draw) -> Floats:
    return _boosting({})(_unit(d.X), d.y, _unit(d.X_test))


BASELINES: dict[str, Callable[[Draw], Floats]] = {
    "logistic regression, L2-normalised": logistic_normalised,
    "logistic regression, standardised": logistic_standardised,
    "shrinkage LDA": shrinkage_lda,
    "kNN, cosine": nearest_neighbours,
    "LightGBM, tuned": boosting_tuned,
    "LightGBM, defaults": boosting_defaults,
}
