"""Random boosters of every kind that a forest must score as LightGBM does, and hard inputs."""

from functools import cache

import lightgbm
import numpy as np
import numpy.typing as npt
from made_heads import head_of

from classifiers.head import Head

Float32 = npt.NDArray[np.float32]

KINDS = (
    *("plain", "with_nan", "zero_is_missing", "nothing_missing", "stumps", "constant"),
    *("large", "large_with_nan"),
)
"""What is special about a booster's training data or parameters."""

COLUMNS = 6

_LEAVES = {"stumps": 2, "large": 80, "large_with_nan": 40}


def hard_values(generator: np.random.Generator, shape: tuple[int, ...]) -> Float32:
    """Return values that trees trip over: zeros of both signs, NaN, infinities, tiny numbers."""
    values = generator.choice([-1.5, -1.0, -0.5, 0.25, 1.0, 2.0], shape).astype(np.float32)
    odd = np.array([0.0, -0.0, np.nan, np.inf, -np.inf, 1e-35, -1e-36, 1e-40, 3e38], np.float32)
    return np.where(generator.random(shape) < 0.3, generator.choice(odd, shape), values)


@cache
def any_head(kind: str, n_outputs: int, seed: int) -> Head:
    """Return a head around a random booster of a kind."""
    generator = np.random.default_rng(seed)
    X = hard_values(generator, (80, COLUMNS))
    if kind in ("plain", "stumps", "constant", "large"):
        X = generator.standard_normal((80, COLUMNS)).astype(np.float32)
    y = generator.integers(0, max(n_outputs, 2), 80)
    y[: max(n_outputs, 2)] = np.arange(max(n_outputs, 2))
    parameters = {
        "objective": "binary" if n_outputs == 1 else "multiclassova",
        "num_class": n_outputs,
        "num_leaves": _LEAVES.get(kind) or int(generator.integers(3, 12)),
        "min_data_in_leaf": 200 if kind == "constant" else 1,
        "min_data_in_bin": 1,
        "max_bin": int(generator.integers(3, 60)),
        "extra_trees": bool(generator.integers(2)),
        "zero_as_missing": kind == "zero_is_missing",
        "use_missing": kind != "nothing_missing",
        "learning_rate": 0.3,
        "feature_pre_filter": False,
        "seed": seed,
        "num_threads": 1,
        "verbosity": -1,
    }
    booster = lightgbm.Booster(parameters, lightgbm.Dataset(X, y, params=parameters))
    for _ in range(12):
        booster.update()
    return head_of(booster, COLUMNS, n_outputs)


def hard_rows(head: Head, seed: int, count: int) -> Float32:
    """Return rows of hard values, some of them exactly on thresholds of the head, or beside."""
    generator = np.random.default_rng(seed)
    X = hard_values(generator, (count, COLUMNS))
    trees = head.trees
    if trees.threshold.size:
        chosen = generator.integers(0, trees.threshold.size, X.shape)
        with np.errstate(over="ignore"):
            near = trees.threshold[chosen].astype(np.float32)
            for step in (-np.inf, np.inf):
                beside = np.nextafter(near, np.float32(step))
                near = np.where(generator.random(X.shape) < 0.3, beside, near)
        on_threshold = generator.random(X.shape) < 0.5
        X = np.where(on_threshold, near, X)
    return X
