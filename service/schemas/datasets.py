"""The shapes of datasets, as they are answered. Knows nothing of what makes labels fit to learn."""

from typing import Literal

from pydantic import BaseModel, Field


class DatasetEntry(BaseModel):
    """A dataset of the list."""

    name: str
    created: str
    images: int
    labels: dict[str, int] = Field(description="Images by label.")
    unlabelled: int
    groups: int = Field(description="Distinct groups.")


class DatasetsAnswer(BaseModel):
    """Every dataset of the workspace."""

    datasets: list[DatasetEntry]


class LabelProblem(BaseModel):
    """One thing that is wrong with a dataset's labels."""

    code: str
    detail: str
    items: list[str] = Field(description="The first few that it concerns.")
    severity: Literal["error", "warning"] = Field(description="An error must be mended to learn.")


class DatasetAnswer(BaseModel):
    """One dataset: what it holds, and what is wrong with it."""

    name: str
    created: str
    images: int
    labels: dict[str, int] = Field(description="Images by label.")
    unlabelled: int
    groups: dict[str, int] = Field(description="Images by group.")
    problems: list[LabelProblem] = Field(description="Errors first.")


class DatasetDeleted(BaseModel):
    """A dataset that is gone."""

    dataset: str
    images_removed: int = Field(description="Images of it that no other dataset uses.")
