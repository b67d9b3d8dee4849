"""LightGBM: fits boosters, and reads them back. The only file that imports it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from classifiers.errors import LabelProblems
from classifiers.label_set import Problem
from classifiers.parallel import Tick
from classifiers.recipe import Recipe
from classifiers.tasks import Question

if TYPE_CHECKING:
    import lightgbm

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

ROUNDS_PER_TICK = 10

Gradients = Callable[[Float64, object], tuple[Float64, Float64]]


@dataclass(frozen=True, slots=True, eq=False)
class Boosted:
    """A booster, and what its raw scores lack.

    Attributes:
        booster: as LightGBM has it.
        start: float64 (n_outputs,), what boosting started from and LightGBM does not add; it adds
            its own start to the first trees.
    """

    booster: "lightgbm.Booster"
    start: Float64

    def scores(self, Z: Float32) -> Float64:
        """Return the scores of images: float64 (n_images, n_outputs)."""
        return self.start + raw_scores(self.booster, Z, len(self.start))


def version() -> str:
    """Return the version of LightGBM that fits here."""
    import lightgbm

    return str(lightgbm.__version__)


def objective_line(question: Question) -> str:
    """Return what LightGBM writes of its objective; "" where the objective is ours."""
    k = len(question.classes)
    return {
        "binary": "binary sigmoid:1",
        "multiclass": f"multiclassova num_class:{k} sigmoid:1",
        "regression": "regression",
    }.get(question.task, "")


def sort_into_steps(
    Z: Float32, targets: Float64, question: Question, weights: Float64, recipe: Recipe
) -> "lightgbm.Dataset":
    """Sort the values of every column into steps, once for all fits on these images.

    That takes longer than to fit the trees, and uses no label.

    Args:
        Z: float32 (n_images, n_columns), scaled row by row.
        targets: float64 (n_images, n_outputs).
        question: what is asked.
        weights: float64 (n_images,), what each image counts.
        recipe: complete.

    Raises:
        LabelProblems: no column tells the images apart, for LightGBM cannot go on then.
    """
    import lightgbm

    many = question.task == "multiclass"
    label = question.numbers(targets) if many else targets[:, 0]
    data = lightgbm.Dataset(
        Z,
        label.astype(np.float32),
        weight=weights,
        params=_parameters(recipe, question),
        free_raw_data=False,
    ).construct()
    # No bins: no threshold leaves enough images for a leaf on both its sides.
    if not any(map(data.feature_num_bin, range(data.num_feature()))):
        fewest = recipe.to_dict()["min_data_in_leaf"]
        detail = f"No column of the vectors tells {fewest} images to learn from from the others."
        raise LabelProblems([Problem("images_alike", detail)])
    return data


def fit(
    data: "lightgbm.Dataset",
    rows: IntArray,
    targets: Float64,
    weights: Float64,
    question: Question,
    recipe: Recipe,
    tick: Tick,
) -> Boosted:
    """Fit a booster on some rows; equal arguments give equal boosters, bit for bit.

    Args:
        data: what `sort_into_steps` returned.
        rows: int64, of the images to learn from.
        targets: as given to `sort_into_steps`.
        weights: as given to `sort_into_steps`.
        question: as given to `sort_into_steps`.
        recipe: as given to `sort_into_steps`.
        tick: told the share done every few rounds.
    """
    import lightgbm

    rows = np.sort(rows)
    start = np.zeros(question.n_outputs)
    gradients: Gradients | None = None
    if not objective_line(question):
        start = _log_odds(targets[rows], weights[rows])
        gradients = _each_for_itself(targets[rows], weights[rows], start)
    parameters = _parameters(recipe, question)
    booster = lightgbm.Booster(parameters, data.subset(rows.tolist(), parameters))
    rounds = recipe.to_dict()["rounds"]
    for done in range(rounds):
        if done % ROUNDS_PER_TICK == 0:
            tick(done / rounds)
        if booster.update(fobj=gradients):
            break  # no tree could be split any further
    tick(1.0)
    return Boosted(booster, start)


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


def _log_odds(targets: Float64, weights: Float64) -> Float64:
    """The log-odds of a yes to each output, as if each answer had been given once more."""
    yes = weights @ targets + 1
    return np.asarray(np.log(yes) - np.log(weights.sum() + 2 - yes))


def _each_for_itself(targets: Float64, weights: Float64, start: Float64) -> Gradients:
    """The logistic loss of each output by itself: an image may have several labels, or none."""

    def gradients(scores: Float64, _: object) -> tuple[Float64, Float64]:
        p = 1 / (1 + np.exp(-(scores + start)))
        return weights[:, None] * (p - targets), weights[:, None] * p * (1 - p)

    return gradients


def _parameters(recipe: Recipe, question: Question) -> dict[str, Any]:
    line = objective_line(question)
    objective: dict[str, Any] = {"objective": line.split(" ")[0] or "none"}
    if question.n_outputs > 1:
        objective["num_class"] = question.n_outputs
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
