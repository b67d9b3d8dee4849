"""The shape of a head's card, as it is answered. What each field means, the card itself says."""

from typing import Any

from pydantic import BaseModel, Field

from service.schemas.looks import Measure


class CardAnswer(BaseModel):
    """What one version says of itself; docs/reference/http.md describes every field."""

    name: str
    version: int
    dataset: str = Field(description="Empty where the version came as a file.")
    artefact: str = Field(description="The hash that the version is kept under.")
    registered: str
    format: int = Field(description="Of the card and the files beside it.")
    task: str
    classes: list[str]
    space_id: str
    width: int
    blocks: list[dict[str, Any]]
    fingerprint: str
    n_images: int
    class_counts: dict[str, int]
    values: dict[str, float] | None
    n_groups: int | None
    n_copies: int
    n_test_images: int
    metrics: dict[str, Measure]
    label_auc: dict[str, Measure]
    metrics_test: dict[str, Measure]
    baseline: dict[str, Measure]
    baseline_test: dict[str, Measure]
    signal: bool
    p_value: float
    permutations: int
    folds: dict[str, Any]
    recipe: dict[str, Any]
    shares: dict[str, float]
    tree_factors: list[float]
    calibration: dict[str, Any] | None
    sets: dict[str, Any]
    confusion: list[list[int]]
    growth: dict[str, Any] | None
    novelty: dict[str, int]
    lightgbm: str
    created: str
    author: str
    limits: list[str]
    warnings: list[str]
    files: dict[str, str]
