"""The shapes of what a prediction answers."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from service.schemas.problem import Problem


class ImageEntry(BaseModel):
    """An image of a prediction."""

    filename: str | None
    digest: str | None
    cached: bool


class Evidence(BaseModel):
    """A labelled training image near the one that was asked about."""

    head: str
    digest: str
    score: float = Field(description="Cosine similarity; higher is closer.")
    label: str
    filename: str | None
    dataset: str | None
    group: str | None


class Crop(BaseModel):
    """The square that the backbone looks at, in pixels of the image set upright."""

    width: int = Field(description="Of the whole image.")
    height: int
    left: float
    top: float
    side: float


class Explanation(BaseModel):
    """What each place of an image adds to a score: base + grid = score."""

    of: str = Field(
        description="What a high score speaks for: a label; grades; `higher`, of a number."
    )
    against: str | None = Field(
        description="What a low one speaks for; null, of several labels: that `of` is not there."
    )
    unit: Literal["log odds", "number"]
    base: float = Field(description="The score of a mean image of those the head learnt from.")
    score: float = Field(
        description="log(probability of `of` / probability of `against`); or the number."
    )
    grid: list[list[float]] = Field(description="Rows from top to bottom, over the crop.")
    crop: Crop


class Prediction(BaseModel):
    """What one head says of one image."""

    model_config = ConfigDict(extra="allow")

    head: str
    version: int | None
    task: str | None
    label: str | None = Field(description="The answer, written as labels of the task are.")
    probabilities: dict[str, float] = Field(
        description="By class, label or grade; empty for regression."
    )
    set: list[str] = Field(
        description="Labels that cannot be ruled out at the coverage; empty for regression."
    )
    coverage: float | None = Field(
        description="How often the set, or the interval, holds the truth; of several labels, how "
        "often it holds each one that the image has."
    )
    abstains: bool = Field(
        description="True where the set does not single out the answer, or has no bounds."
    )
    usualness: float | None = Field(
        description="Share of training images at least as strange: small is strange."
    )
    unlike: bool | None = Field(description="Unlike what the head learnt from.")
    evidence: list[Evidence] = Field(
        default=[], description="Where it was asked for: the nearest images the head learnt from."
    )
    explanation: Explanation | None = None
    explanations: list[Explanation] = Field(
        default=[], description="Task multilabel only: one for each label, the likeliest first."
    )
    labels: list[str] = Field(
        default=[], description="Task multilabel only: the labels that are likelier than not."
    )
    value: float | None = Field(default=None, description="Task regression only: the number.")
    low: float | None = Field(
        default=None, description="Task regression only: lower end of the interval at the coverage."
    )
    high: float | None = Field(default=None, description="Task regression only: its upper end.")
    error: Problem | None = None


class PredictResult(BaseModel):
    """What every asked head says of one image."""

    image: ImageEntry
    predictions: list[Prediction]
    evidence: list[Evidence]
    error: Problem | None


class PredictAnswer(BaseModel):
    """The answer of a prediction, in the order sent."""

    space: str
    results: list[PredictResult]
