"""LightGBM: fits boosters, and reads them back. The only file that imports it."""

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from classifiers.parallel import Tick
from classifiers.recipe import Recipe

if TYPE_CHECKING:
    import lightgbm

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

ROUNDS_PER_TICK = 10


def version() -> str:
    """Return the version of LightGBM that fits here."""
    import lightgbm

    return str(lightgbm.__version__)


def sort_into_steps(
    Z: Float32, y: IntArray, n_classes: int, weights: Float64, recipe: Recipe
) -> "lightgbm.Dataset":
    """Sort the values of every column into steps, once for all fits on these images.

    That takes longer than to fit the trees, and uses no label.

    Args:
        Z: float32 (n_images, n_columns), scaled row by row.
        y: int64 (n_images,), class numbers, each present.
        n_classes: two give one output, more give one each, of that class against the rest.
        weights: float64 (n_images,), what each image counts.
        recipe: complete.
    """
    import lightgbm

    parameters = _parameters(recipe, n_classes)
    data = lightgbm.Dataset(
        Z, y.astype(np.float32), weight=weights, params=parameters, free_raw_data=False
    )
    return data.construct()


def fit(
    data: "lightgbm.Dataset", rows: IntArray, n_classes: int, recipe: Recipe, tick: Tick
) -> "lightgbm.Booster":
    """Fit a booster on some rows; equal arguments give equal boosters, bit for bit.

    Args:
        data: what `sort_into_steps` returned.
        rows: int64, of the images to learn from.
        n_classes: as given to `sort_into_steps`.
        recipe: as given to `sort_into_steps`.
        tick: told the share done every few rounds.
    """
    import lightgbm

    parameters = _parameters(recipe, n_classes)
    booster = lightgbm.Booster(parameters, data.subset(np.sort(rows).tolist(), parameters))
    rounds = recipe.to_dict()["rounds"]
    for done in range(rounds):
        if done % ROUNDS_PER_TICK == 0:
            tick(done / rounds)
        if booster.update():
            break  # no tree could be split any further
    tick(1.0)
    return booster


def read(text: str) -> "lightgbm.Booster":
    """Let LightGBM read a model text; only ever one that `trees.parse` has passed."""
    import lightgbm

    return lightgbm.Booster(model_str=text)


def raw_scores(booster: "lightgbm.Booster", Z: Float32, n_outputs: int) -> Float64:
    """Return the raw scores of a booster: float64 (n_images, n_outputs)."""
    if not len(Z):
        return np.zeros((0, n_outputs))
    raw = booster.predict(Z, raw_score=True, num_threads=1)
    return np.asarray(raw, np.float64).reshape(len(Z), n_outputs)


def contributions(booster: "lightgbm.Booster", Z: Float32, n_outputs: int) -> Float64:
    """Return what each column adds to each raw score: float64 (n_images, n_outputs, n_columns + 1).

    The last column is the booster's expected raw score; all of a row sum to its raw score. Exact
    Shapley values of the trees (Lundberg and others, "From local explanations to global
    understanding with explainable AI for trees", 2020), as LightGBM computes them.
    """
    found = booster.predict(Z, pred_contrib=True, num_threads=1)
    return np.asarray(found, np.float64).reshape(len(Z), n_outputs, Z.shape[1] + 1)


def _parameters(recipe: Recipe, n_classes: int) -> dict[str, Any]:
    objective: dict[str, Any] = {"objective": "binary"}
    if n_classes > 2:  # noqa: PLR2004  two classes need one output
        objective = {"objective": "multiclassova", "num_class": n_classes}
    names = ("num_leaves", "min_data_in_leaf", "max_bin", "learning_rate", "feature_fraction")
    chosen = recipe.to_dict()
    return {
        **objective,
        **{name: chosen[name] for name in (*names, "lambda_l2", "seed")},
        "extra_trees": True,
        "min_data_in_bin": 1,
        "enable_bundle": False,
        # One thread, in a fixed order: sums of floats depend on both. Folds run side by side.
        "num_threads": 1,
        "deterministic": True,
        "force_col_wise": True,
        "verbosity": -1,
    }
