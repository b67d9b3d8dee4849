"""The shapes of what is answered about images, datasets, heads and jobs."""

from typing import Any, Literal

from pydantic import BaseModel, Field

from service.schemas.problem import Problem
from service.schemas.spaces import Space


class EmbeddingEntry(BaseModel):
    """The vector of one image."""

    digest: str | None
    vector: list[float] | None
    cached: bool
    filename: str | None = None
    error: Problem | None = None


class EmbedAnswer(BaseModel):
    """The vectors of images, in the order sent, and the space they live in."""

    space: Space
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


class Taken(BaseModel):
    """A file that the dataset holds."""

    filename: str | None
    digest: str
    state: Literal["added", "known"]


class IngestAnswer(BaseModel):
    """What became of every file: added + known + rejected is what was sent."""

    dataset: str
    added: int
    known: int
    rejected: list[Rejected]
    labels: dict[str, int]
    images: list[Taken]
    unmatched: list[str] = Field(
        description="Paths that the tables of an archive speak of and that are no file's, at most "
        "100: what they say is lost."
    )


class TrainedHead(BaseModel):
    """A version of a head that was trained on an image."""

    head: str
    version: int


class ErasedAnswer(BaseModel):
    """An image that is gone for good."""

    digest: str
    erased: Literal[True]
    datasets: int = Field(description="How many datasets held it.")
    heads: list[TrainedHead] = Field(description="They are not changed.")


class JobAnswer(BaseModel):
    """A job as it stands."""

    id: str
    kind: str
    state: Literal["queued", "running", "succeeded", "failed", "cancelled"]
    progress: float
    stage: str
    request: dict[str, Any] = Field(description="What was asked for.")
    result: dict[str, Any] | None
    error: Problem | None
    created: str
    started: str | None
    finished: str | None


class JobsAnswer(BaseModel):
    """The newest jobs."""

    jobs: list[JobAnswer]
