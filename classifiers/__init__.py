"""Vectors and labels in, heads out. Knows nothing of images, Parquet, FAISS or HTTP."""

from classifiers.card import Card
from classifiers.errors import (
    BadRecipe,
    ClassifierError,
    HeadDamaged,
    HeadNotFound,
    LabelProblems,
    NoSignal,
    SpaceMismatch,
    TrainingCancelled,
)
from classifiers.forest import Forest
from classifiers.head import Head
from classifiers.labels import LabelSet, Problem, check, find_problems, fingerprint
from classifiers.recipe import Recipe
from classifiers.training import learn
from classifiers.zoo import Zoo

__all__ = [
    "BadRecipe",
    "Card",
    "ClassifierError",
    "Forest",
    "Head",
    "HeadDamaged",
    "HeadNotFound",
    "LabelProblems",
    "LabelSet",
    "NoSignal",
    "Problem",
    "Recipe",
    "SpaceMismatch",
    "TrainingCancelled",
    "Zoo",
    "check",
    "find_problems",
    "fingerprint",
    "learn",
]
