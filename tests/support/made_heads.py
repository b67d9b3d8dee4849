"""Vectors, label sets and heads made up for tests."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import lightgbm
import numpy as np
import numpy.typing as npt

from classifiers.blocks import Block
from classifiers.calibration import Calibration
from classifiers.card import Card
from classifiers.conformal import SetRule
from classifiers.curve import Backtest, Growth, draw_curve
from classifiers.head import Head
from classifiers.judgement import Calibrated
from classifiers.labels import LabelSet
from classifiers.novelty import Novelty, NoveltySize
from classifiers.power_law import fit_law
from classifiers.recipe import Recipe
from classifiers.statistics import Measure
from classifiers.training import learn
from classifiers.trees import canonical

Float32 = npt.NDArray[np.float32]

LAYOUT = [("penultimate", 0, 24), ("stage1.mean", 24, 32), ("stage1.std", 32, 40)]
WIDTH = 40

QUICK = Recipe(rounds=20, folds=3, repeats=1)


def digests(count: int) -> tuple[str, ...]:
    """Return so many different digests."""
    return tuple(hashlib.sha256(str(number).encode()).hexdigest() for number in range(count))


def vectors(labels: Sequence[str], distance: float, seed: int = 0) -> Float32:
    """Return random vectors, those of a label moved `distance` along a direction of its own."""
    generator = np.random.default_rng(seed)
    names = sorted(set(labels))
    centres = generator.standard_normal((len(names), WIDTH))
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    place = [names.index(label) for label in labels]
    noise = generator.standard_normal((len(labels), WIDTH)) / np.sqrt(WIDTH)
    return (noise + distance * centres[place]).astype(np.float32)


def alternating(classes: Sequence[str], per_class: int) -> tuple[str, ...]:
    """Return `per_class` labels of each class, in turn."""
    return tuple(classes) * per_class


def taught(
    X: Float32, labels: Sequence[str], groups: Sequence[str | None] | None = None, **given: Any
) -> Head:
    """Learn a head called "made" from vectors and labels."""
    known = tuple(groups) if groups is not None else None
    label_set = given.pop("label_set", LabelSet(digests(len(labels)), tuple(labels), known))
    given = {"recipe": QUICK, "created": "2026-01-01T00:00:00Z", **given}
    return learn(X, label_set, name="made", space_id="space", blocks=LAYOUT, **given)


@cache
def small_head(classes: tuple[str, ...] = ("cat", "dog"), seed: int = 0) -> Head:
    """Return a head of few trees, learnt from data that are easy to tell apart."""
    labels = alternating(classes, 12)
    recipe = Recipe(seed=seed, rounds=8, folds=3, repeats=1)
    return taught(vectors(labels, 2.0, seed), labels, recipe=recipe)


def head_of(booster: lightgbm.Booster, n_columns: int, n_outputs: int) -> Head:
    """Return a head around any booster, which looks at all columns as they are."""
    classes = ("no", "yes") if n_outputs == 1 else tuple(f"c{k}" for k in range(n_outputs))
    k = len(classes)
    novelty = Novelty(np.zeros((1, n_columns), np.int8), np.ones(1), 1.0, np.zeros(1))
    sure = Measure(value=1.0, low=0.5, high=1.0)
    card = Card(
        name="any",
        task="binary" if n_outputs == 1 else "multiclass",
        classes=classes,
        space_id="space",
        width=n_columns,
        blocks=(Block("all", 0, n_columns),),
        fingerprint="0" * 64,
        n_images=2,
        class_counts=dict.fromkeys(classes, 1),
        values=None,
        n_groups=None,
        n_copies=0,
        n_test_images=0,
        metrics={"auc": sure, "balanced_accuracy": sure},
        label_auc={},
        metrics_test={},
        baseline={"auc": sure, "balanced_accuracy": sure},
        baseline_test={},
        signal=True,
        p_value=0.001,
        permutations=999,
        folds={"kind": "stratified", "folds": 2, "repeats": 1, "reason": ""},
        recipe=Recipe(normalisation="none"),
        shares={"trees": 1.0},
        tree_factors=(1.0,) * n_outputs,
        calibration=Calibrated((Calibration(),), 0.0, 0.0, (), ()),
        sets=SetRule(0.9, (0.0,), 0.5, 1.0, 2),
        confusion=tuple(tuple(int(i == j) for j in range(k)) for i in range(k)),
        growth=None,
        novelty=NoveltySize(0, 1),
        lightgbm="4",
        created="2026-01-01T00:00:00Z",
        author="",
        limits=(),
        warnings=(),
    )
    return Head.assemble(card, canonical(booster.model_to_string()), _arrays(card, novelty))


def _arrays(card: Card, novelty: Novelty) -> dict[str, npt.NDArray[Any]]:
    n_outputs, n_columns = card.n_outputs, card.width
    return {
        "linear": np.zeros((n_outputs, n_columns), np.float32),
        "intercept": np.zeros(n_outputs),
        "column_means": np.zeros(n_columns, np.float32),
        **{f"novelty_{name}": array for name, array in novelty.to_arrays().items()},
        "out_of_fold": np.zeros((2, len(card.classes)), np.float32),
        "truth": np.eye(2, n_outputs),
    }


def resealed(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return the files with a card that has their true hashes, as a forger would write it."""
    card = json.loads(files["card.json"])
    others = {name: data for name, data in files.items() if name != "card.json"}
    card["files"] = {name: hashlib.sha256(data).hexdigest() for name, data in others.items()}
    return {**others, "card.json": json.dumps(card).encode()}


def made_growth() -> Growth:
    """A learning curve of 80 images that would still help."""
    law = fit_law(np.array([0.5, 0.25]), np.array([-0.03, -0.08]), np.full(2, 0.005), 0.1)
    today = Measure(value=0.9, low=0.8, high=0.96)
    fewer = {
        0.5: Measure(value=0.87, low=0.75, high=0.94),
        0.25: Measure(value=0.82, low=0.68, high=0.91),
    }
    return draw_curve(80, today, law, fewer, 0.0, Backtest(halves=5, close=3, error=0.041))
