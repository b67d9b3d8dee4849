"""The shapes of embedding spaces, as they are answered. Knows nothing of what makes a vector."""

from pydantic import BaseModel, Field


class Stage(BaseModel):
    """One stage of a backbone."""

    name: str
    channels: int


class Preprocessing(BaseModel):
    """How an image becomes the pixels that a backbone looks at."""

    decode: str
    size: int = Field(description="Pixels of a side.")
    crop: float = Field(description="Of the shorter side.")
    interpolation: str
    mean: list[float]
    std: list[float]


class Space(BaseModel):
    """An embedding space, with everything that its id is derived from."""

    id: str
    format: int
    backbone: str
    weights_sha256: str
    layer: str
    stages: list[Stage]
    preprocessing: Preprocessing
    precision: str
    dim: int = Field(description="Length of the embedding.")


class ServedSpace(Space):
    """A space whose backbone is served."""

    device: str = Field(description="What the backbone runs on.")
    default: bool = Field(description="Whether it is the one that is asked.")


class SpacesAnswer(BaseModel):
    """Every space that is served."""

    spaces: list[ServedSpace]
