"""The shapes of quick looks and of comparisons of backbones, as they are answered."""

from typing import Any, Literal

from pydantic import BaseModel, Field

from service.schemas.problem import Problem


class Measure(BaseModel):
    """A figure and the interval that it lies in at 95 % confidence."""

    value: float
    low: float
    high: float


class Glance(BaseModel):
    """What one plain method reached on images that it had not seen."""

    auc: Measure | None
    balanced_accuracy: Measure
    p_value: float | None = Field(description="Of an AUC this good by chance.")


class Look(BaseModel):
    """What plain methods see in a space."""

    images: int = Field(description="Images that were looked at; test images are not.")
    classes: list[str]
    folds: dict[str, Any] | None
    methods: dict[str, Glance]
    best: str | None = Field(description="The method with the highest AUC.")
    verdict: Literal["signal", "no_signal", "too_few"]
    words: str = Field(description="The verdict in words.")


class LookAnswer(Look):
    """A quick look at a dataset in the served space."""

    dataset: str
    space: str
    missing: int = Field(description="Labelled images that have no vector in this space yet.")


class BackboneRow(BaseModel):
    """What a comparison found of one backbone."""

    backbone: str
    present: bool = Field(description="Whether it is the one that is served.")
    space: str | None
    dim: int | None = Field(description="Length of the embedding.")
    width: int | None = Field(description="Length of embedding and stages together.")
    images_per_second: float | None = Field(description="On this machine, as busy as it was.")
    look: Look | None
    metrics: dict[str, Measure] = Field(description="Of a head, as its card would have them.")
    p_value: float | None
    signal: bool = Field(description="At 5 %, corrected for the number of rows.")
    difference: Measure | None = Field(
        description="How much higher the AUC is than that of the backbone that is served."
    )
    seconds: float
    error: Problem | None


class Comparison(BaseModel):
    """The result of a job of the kind `compare`."""

    dataset: str
    seed: int
    backbones: list[BackboneRow] = Field(description="The one that is served first.")
    words: str = Field(description="What to make of it.")
