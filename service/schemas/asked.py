"""The shapes of what is asked: they check what is read, limits included."""

from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)

from service.errors import InvalidRequest
from service.names import check_name

MAX_IMAGES = 64
MAX_HEADS = 10_000
MAX_EVIDENCE = 20
MAX_HITS = 1_000
MAX_SUSPECTS = 1_000
MAX_NEXT = 1_000
MAX_BACKBONES = 8
MAX_UNMATCHED = 100

BACKBONE = r"^[A-Za-z0-9_][A-Za-z0-9_./@-]{0,99}$"

BACKBONES = ("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2")
"""What is compared where nothing is named: those whose weights come as packages."""


def _no_truth(said: object) -> object:
    if isinstance(said, bool):
        raise ValueError("a whole number is expected")  # noqa: TRY004  the kind that pydantic reads
    return said


Whole = Annotated[int, BeforeValidator(_no_truth)]
"""A whole number. Texts of digits are as good, for the query has nothing else; true is not 1."""


class Asked(BaseModel):
    """A body that takes no field which it does not know. A null stands for a field left out."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _leave_nulls_out(cls, said: object) -> object:
        if not isinstance(said, dict):
            return said
        fields = cls.model_fields
        optional = {name for name, field in fields.items() if not field.is_required()}
        return {name: x for name, x in said.items() if x is not None or name not in optional}


class PredictDigests(Asked):
    """The JSON form of a prediction: images that are known already."""

    digests: list[str] = Field(min_length=1, max_length=MAX_IMAGES)
    heads: list[str] | None = Field(default=None, max_length=MAX_HEADS)
    evidence: Whole = Field(default=0, ge=0, le=MAX_EVIDENCE)
    explain: bool = Field(default=False, description="Must be false: only images are explained.")

    @field_validator("explain")
    @classmethod
    def _is_false(cls, explain: bool) -> bool:  # noqa: FBT001  pydantic calls it so
        if explain:
            raise ValueError("a heat map needs the image itself: send it as a form")
        return explain


class SearchQuery(Asked):
    """The JSON form of a search: exactly one of digest and vector."""

    digest: str | None = None
    vector: list[float] | None = Field(default=None, max_length=65_536)
    k: Whole = Field(default=10, ge=1, le=MAX_HITS)
    dataset: str | None = None
    label: str | None = None


class LabelEntry(Asked):
    """One image's label and group; null makes the label unknown and leaves the group as it is.

    An empty group takes the group away.
    """

    digest: str
    label: str | None
    group: str | None = None


class LabelChanges(Asked):
    """New labels for images of a dataset: all of them, or none."""

    labels: list[LabelEntry] = Field(min_length=1, max_length=100_000)


class LearnOptions(Asked):
    """What may be said about how to learn."""

    allow_no_signal: bool = Field(
        default=False, description="Register the head even where it learnt nothing; it says so."
    )
    order: list[str] = Field(
        default=[],
        max_length=100,
        description="Grades, lowest first, where they are no numbers: makes the task ordinal.",
    )
    seed: Whole = Field(default=0, ge=0, lt=2**31, description="The same seed, the same head.")
    author: str = Field(default="", max_length=200, description="Who answers for the head.")
    report: Literal["full", "fast"] = Field(
        default="full", description="Fast evaluates once and draws no learning curve."
    )


def _head_name(name: str) -> str:
    try:
        return check_name("head", name)
    except InvalidRequest as error:
        said = f"{error.detail} {error.hint}"
        raise ValueError(said.encode(errors="replace").decode()) from error  # pydantic's is UTF-8


class LearnRequest(Asked):
    """Asks for a head to be trained on a dataset."""

    name: Annotated[str, AfterValidator(_head_name)] = Field(examples=["pneumonia"])
    dataset: str = Field(examples=["chest-xrays"])
    task: Literal["auto", "binary", "multiclass", "multilabel", "ordinal", "regression"] = Field(
        default="auto", description="What kind of question it is; found from the labels by default."
    )
    options: LearnOptions = LearnOptions()


class CompareOptions(Asked):
    """What may be said about how to compare."""

    seed: Whole = Field(default=0, ge=0, lt=2**31, description="Of the folds, the same for all.")


class CompareRequest(Asked):
    """Asks for backbones to be compared on a dataset; the served one is always among them."""

    backbones: list[Annotated[str, Field(pattern=BACKBONE)]] = Field(
        default=list(BACKBONES), min_length=1, max_length=MAX_BACKBONES
    )
    options: CompareOptions = CompareOptions()


class AliasTarget(Asked):
    """Where an alias should point, and why."""

    version: Whole = Field(ge=1)
    reason: str = Field(default="", max_length=1_000)
