"""The shapes of the HTTP contract: they check what is read and describe what is answered."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

MAX_IMAGES = 64
MAX_HEADS = 10_000
MAX_EVIDENCE = 20
MAX_HITS = 1_000
MAX_SUSPECTS = 1_000
MAX_NEXT = 1_000
MAX_BACKBONES = 8

BACKBONE = r"^[A-Za-z0-9_][A-Za-z0-9_./@-]{0,99}$"

BACKBONES = ("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2")
"""What is compared where nothing is named: those whose weights come as packages."""


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid")


class PredictDigests(_Request):
    """The JSON form of a prediction: images that are known already."""

    digests: list[str] = Field(min_length=1, max_length=MAX_IMAGES)
    heads: list[str] | None = Field(default=None, max_length=MAX_HEADS)
    evidence: int = Field(default=0, ge=0, le=MAX_EVIDENCE)
    explain: bool = Field(default=False, description="Must be false: only images are explained.")

    @field_validator("explain")
    @classmethod
    def _is_false(cls, explain: bool) -> bool:  # noqa: FBT001  pydantic calls it so
        if explain:
            raise ValueError("a heat map needs the image itself: send it as a form")
        return explain


class SearchQuery(_Request):
    """The JSON form of a search: exactly one of digest and vector."""

    digest: str | None = None
    vector: list[float] | None = Field(default=None, max_length=65_536)
    k: int = Field(default=10, ge=1, le=MAX_HITS)
    dataset: str | None = None
    label: str | None = None


class LabelEntry(_Request):
    """One image's label and group; null leaves the group as it is and makes the label unknown."""

    digest: str
    label: str | None
    group: str | None = None


class LabelChanges(_Request):
    """New labels for images of a dataset: all of them, or none."""

    labels: list[LabelEntry] = Field(min_length=1, max_length=100_000)


class LearnOptions(_Request):
    """What may be said about how to learn."""

    allow_no_signal: bool = Field(
        default=False, description="Register the head even where it learnt nothing; it says so."
    )
    order: list[str] = Field(
        default=[],
        max_length=100,
        description="Grades, lowest first, where they are no numbers: makes the task ordinal.",
    )
    seed: int = Field(default=0, ge=0, lt=2**31, description="The same seed, the same head.")
    author: str = Field(default="", max_length=200, description="Who answers for the head.")
    report: Literal["full", "fast"] = Field(
        default="full", description="Fast evaluates once and draws no learning curve."
    )


class LearnRequest(_Request):
    """Asks for a head to be trained on a dataset."""

    name: str = Field(examples=["pneumonia"])
    dataset: str = Field(examples=["chest-xrays"])
    task: Literal["auto", "binary", "multiclass", "multilabel", "ordinal", "regression"] = Field(
        default="auto", description="What kind of question it is; found from the labels by default."
    )
    options: LearnOptions = LearnOptions()


class CompareOptions(_Request):
    """What may be said about how to compare."""

    seed: int = Field(default=0, ge=0, lt=2**31, description="Of the folds, the same for all.")


class CompareRequest(_Request):
    """Asks for backbones to be compared on a dataset; the served one is always among them."""

    backbones: list[Annotated[str, Field(pattern=BACKBONE)]] = Field(
        default=list(BACKBONES), min_length=1, max_length=MAX_BACKBONES
    )
    options: CompareOptions = CompareOptions()


class AliasTarget(_Request):
    """Where an alias should point, and why."""

    version: int = Field(ge=1)
    reason: str = Field(default="", max_length=1_000)


class Problem(BaseModel):
    """A refusal (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    hint: str
    problems: list[dict[str, Any]] | None = None


class EmbeddingEntry(BaseModel):
    """The vector of one image."""

    digest: str | None
    vector: list[float] | None
    cached: bool
    filename: str | None = None
    error: Problem | None = None


class EmbedAnswer(BaseModel):
    """The vectors of images, in the order sent, and the space they live in."""

    space: dict[str, Any]
    embeddings: list[EmbeddingEntry]


class Hit(BaseModel):
    """One similar image."""

    digest: str
    score: float = Field(description="Cosine similarity; higher is closer.")
    filename: str | None
    dataset: str | None
    label: str | None
    group: str | None


class SearchAnswer(BaseModel):
    """Similar images, best first, the query itself left out."""

    space: str
    hits: list[Hit]


class Suspect(BaseModel):
    """A training image whose label the head's out-of-fold answer contradicts."""

    digest: str
    filename: str | None
    label: str = Field(description="What the head was taught.")
    likely: str = Field(description="What it looks like to a head that had not seen it.")
    score: float = Field(description="Probability of the label, 0 to 1; lower is more suspect.")
    rank: int = Field(description="1 is the most suspect.")


class Duplicates(BaseModel):
    """Training images that are nearly the same."""

    digests: list[str]
    filenames: list[str | None] = Field(description="In the order of the digests.")
    labels: list[str] = Field(description="In the order of the digests.")
    score: float = Field(
        description="Cosine that each reaches with another of them, after what all images share "
        "was taken away; higher is closer."
    )


class SuspectsAnswer(BaseModel):
    """The label audit of one version of a head."""

    head: str
    version: int
    suspects: list[Suspect] = Field(description="Most suspect first.")
    duplicates: list[Duplicates] | None = Field(
        description="Conflicting labels first; null where the head's space is not served."
    )


class Rejected(BaseModel):
    """A file that was not taken, and why."""

    filename: str | None
    code: str
    detail: str
    hint: str = ""


class IngestAnswer(BaseModel):
    """What became of every file: added + known + rejected is what was sent."""

    dataset: str
    added: int
    known: int
    rejected: list[Rejected]
    labels: dict[str, int]
    images: list[dict[str, Any]]


class JobAnswer(BaseModel):
    """A job as it stands."""

    id: str
    kind: str
    state: Literal["queued", "running", "succeeded", "failed", "cancelled"]
    progress: float
    stage: str
    result: dict[str, Any] | None
    error: Problem | None
    created: str
    started: str | None
    finished: str | None
