"""How a head is learnt: every number that is chosen, and how the unset ones follow from the data.

The defaults were chosen on real image sets at 10, 25, 50 and 100 images per class, on halves that
share no group with the images learnt from. LightGBM's own defaults need 40 images before they learn
anything at all.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from math import isfinite
from typing import Any, Self

from pydantic import with_config

from classifiers.conformal import DEFAULT_COVERAGE
from classifiers.errors import BadRecipe
from classifiers.strict import STRICT

ALL_BLOCKS = "all"

COLUMNS_PER_TREE = 130
"""Columns a tree may choose from: as good as all of them, and many times faster."""

_INTEGERS: dict[str, tuple[float, float]] = {
    "seed": (0, 2**31 - 1),
    "rounds": (1, 10_000),
    "num_leaves": (2, 1024),
    "min_data_in_leaf": (1, 10_000),
    "max_bin": (2, 255),
    "folds": (2, 20),
    "repeats": (1, 100),
}
_NUMBERS: dict[str, tuple[float, float]] = {
    "coverage": (0.5, 0.999),
    "learning_rate": (1e-4, 1.0),
    "feature_fraction": (1e-4, 1.0),
    "lambda_l2": (0.0, 1e6),
}


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class Recipe:
    """How to learn and to evaluate a head; what is None follows from the data (`complete`).

    Attributes:
        seed: of folds, columns and thresholds; the same seed and data give the same head.
        blocks: names of the column blocks to learn from; ("all",) takes every block.
        normalisation: "l2" divides each block of a row by its length; "none" leaves it.
        coverage: how often a prediction set should hold the true label.
        rounds: boosting rounds, each one tree per output.
        num_leaves: leaves per tree at most.
        min_data_in_leaf: images per leaf at least.
        max_bin: steps into which a column's values are sorted before they are split.
        learning_rate: how much of each tree is taken.
        feature_fraction: share of the columns that a tree may choose from.
        lambda_l2: pull of leaf values towards zero.
        folds: of the cross-validation; fewer where a class has fewer images or groups.
        repeats: of the whole cross-validation, each with other folds.
        report: "full", or "fast", which evaluates once and draws no learning curve.
    """

    seed: int = 0
    blocks: tuple[str, ...] = (ALL_BLOCKS,)
    normalisation: str = "l2"
    coverage: float = DEFAULT_COVERAGE
    rounds: int | None = None
    num_leaves: int | None = None
    min_data_in_leaf: int | None = None
    max_bin: int | None = None
    learning_rate: float | None = None
    feature_fraction: float | None = None
    lambda_l2: float | None = None
    folds: int | None = None
    repeats: int | None = None
    report: str = "full"

    def __post_init__(self) -> None:
        for name, bounds in _INTEGERS.items():
            _check_number(name, getattr(self, name), int, bounds)
        for name, bounds in _NUMBERS.items():
            value = getattr(self, name)
            _check_number(name, value, (int, float), bounds)
            # 1 and 1.0 are one recipe and must make one card.
            object.__setattr__(self, name, None if value is None else float(value))
        if self.seed is None:
            raise BadRecipe("seed", "a number is needed")
        if not self.blocks or not all(isinstance(name, str) for name in self.blocks):
            raise BadRecipe("blocks", "one or more names of column blocks are needed")
        if self.normalisation not in ("l2", "none"):
            raise BadRecipe("normalisation", f"'l2' or 'none', not {self.normalisation!r}")
        if self.report not in ("full", "fast"):
            raise BadRecipe("report", f"'full' or 'fast', not {self.report!r}")

    def complete(self, n_images: int, n_columns: int, n_outputs: int) -> "Recipe":
        """Return the recipe with every number set, for so many images, columns and outputs."""
        defaults: dict[str, float] = {
            "rounds": 100 if n_outputs == 1 else max(20, 150 // n_outputs),
            "num_leaves": 8,
            "min_data_in_leaf": min(max(2, n_images // 200), 20),
            "max_bin": 63,
            "learning_rate": 0.05,
            "feature_fraction": min(1.0, COLUMNS_PER_TREE / n_columns),
            "lambda_l2": 0.0,
            "folds": 5,
            "repeats": 1 if self.report == "fast" else _repeats(n_images),
        }
        unset = {name: value for name, value in defaults.items() if getattr(self, name) is None}
        return replace(self, **unset)  # type: ignore[arg-type]  # counts are whole in `defaults`

    def to_dict(self) -> dict[str, Any]:
        """Return the recipe as JSON-able values."""
        return {**asdict(self), "blocks": list(self.blocks)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Build a recipe from JSON values.

        Raises:
            BadRecipe: if an option is unknown, of the wrong type or out of its range.
        """
        known = {field.name for field in fields(cls)}
        for name in values:
            if name not in known:
                raise BadRecipe(name, f"no such option; there are {', '.join(sorted(known))}")
        blocks = values.get("blocks", (ALL_BLOCKS,))
        if isinstance(blocks, str):
            blocks = (blocks,)
        if not isinstance(blocks, list | tuple):
            raise BadRecipe("blocks", "one or more names of column blocks are needed")
        return cls(**{**values, "blocks": tuple(blocks)})


def _repeats(n_images: int) -> int:
    # Few images are cheap to learn from and their folds are tiny: chance in who meets whom matters.
    return min(4, max(1, 240 // n_images))


def _check_number(
    name: str, value: object, kind: type | tuple[type, ...], bounds: tuple[float, float]
) -> None:
    if value is None:
        return
    low, high = bounds
    # A bool is an int to Python, and never a number that somebody meant.
    if isinstance(value, bool) or not isinstance(value, kind):
        raise BadRecipe(name, f"a number is needed, not {value!r}")
    number = float(value)  # type: ignore[arg-type]
    if not isfinite(number) or not low <= number <= high:
        raise BadRecipe(name, f"from {low:g} to {high:g}, not {number:g}")
