"""The shape of an external validation: it describes what is answered."""

from pydantic import BaseModel, Field

from service.schemas.looks import Measure


class LeftOut(BaseModel):
    """Images of the dataset that the head was not tried on, by reason; the first that holds."""

    unlabelled: int
    conflicting: int = Field(description="With several labels that exclude each other.")
    other_labels: int = Field(description="With labels that the head does not know.")
    learnt_from: int
    same_group: int = Field(description="Of groups that it learnt from.")
    no_vector: int = Field(description="Without a record in the served space.")
    not_drawn: int = Field(description="Beyond the 5,000 that are looked at.")
    copies: int = Field(description="Nearly the same as one that it learnt from.")


class ValidationAnswer(BaseModel):
    """How one version does on images of a dataset that it never saw."""

    head: str
    version: int
    dataset: str
    images: int = Field(description="That it was tried on.")
    groups: int | None = Field(description="Of them; null where none is known.")
    left_out: LeftOut
    class_counts: dict[str, int]
    metrics: dict[str, Measure] = Field(description="Figures that cannot be told are absent.")
    metric: str = Field(description="The leading one: auc, or spearman of numbers.")
    stated: dict[str, Measure] = Field(
        description="The same as the card has them: of its test split, or out of fold."
    )
    change: Measure | None = Field(
        description="The leading one here less stated; below zero is worse."
    )
    confusion: list[list[int]]
    coverage: float = Field(description="That its prediction sets are for.")
    held: Measure = Field(description="Share of the truths that lay in their set or interval.")
    calibration_error: float | None
    unlike: float = Field(description="Share of the images it calls unlike; 0.05 is usual.")
    words: str
    limits: list[str]
