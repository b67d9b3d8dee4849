"""The shape of what to label next: it describes what is answered."""

from typing import Literal

from pydantic import BaseModel, Field


class ToLabel(BaseModel):
    """An unlabelled image that is worth a label."""

    digest: str
    filename: str | None
    group: str | None
    rank: int = Field(description="1 is the first to label.")
    score: float = Field(description="How much a label is worth, 0 to 2; higher is more.")
    label: str = Field(description="What the head finds likeliest.")
    probabilities: dict[str, float]
    usualness: float = Field(description="As in a prediction: small is strange.")
    why: list[Literal["uncertain", "unlike"]]


class NextAnswer(BaseModel):
    """What to label next for one version of a head."""

    head: str
    version: int
    dataset: str
    unlabelled: int = Field(description="Without a label, those of a test split left out.")
    images: list[ToLabel] = Field(description="First to label first.")
