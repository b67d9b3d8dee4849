"""Identity of images and vectors: digest, embedding space. Every key of the product is made here.

Knows nothing of how an image is decoded, a backbone run or a record stored.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from math import isfinite
from typing import Any, NoReturn, Self

import numpy as np
import numpy.typing as npt

FORMAT = 1
"""Version of what the fields of `EmbeddingSpace` mean; part of every space id.

Raise it when a rule that no field names (how stages are pooled, say) changes: all spaces then get
new ids, and vectors made under the old rule are never mixed with new ones.
"""

ID_LENGTH = 16
"""Hex digits of a space id: 64 bits, far more than the handful of spaces one installation has."""

_DIGEST = re.compile(r"[0-9a-f]{64}")

Float32 = npt.NDArray[np.float32]
UInt8 = npt.NDArray[np.uint8]


def digest(data: bytes) -> str:
    """Return the lower-case hex SHA-256 of the bytes: the only identity of an image."""
    return hashlib.sha256(data).hexdigest()


def is_digest(text: str) -> bool:
    """Say whether the text is written exactly as `digest` writes one."""
    return _DIGEST.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of a backbone, pooled to a mean and a standard deviation per channel."""

    name: str
    channels: int

    def __post_init__(self) -> None:
        _require(bool(self.name), "stage name", self.name, "not empty")
        _require(self.channels > 0, "stage channels", self.channels, "positive")


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """How bytes become the pixels a backbone looks at, and how it scales them.

    `decode` names the rule and its version in `features/images.py`; the centre square of `crop`
    times the shorter side is resized to `size` by `interpolation`; the backbone subtracts `mean`
    and divides by `std` (of values in 0..1, per RGB channel).
    """

    decode: str
    size: int
    crop: float
    interpolation: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def __post_init__(self) -> None:
        _require(bool(self.decode), "decode", self.decode, "not empty")
        _require(self.size > 0, "size", self.size, "positive")
        _require(0 < self.crop <= 1, "crop", self.crop, "in (0, 1]")
        _require(bool(self.interpolation), "interpolation", self.interpolation, "not empty")
        for name in ("mean", "std"):
            values = tuple(map(float, getattr(self, name)))
            _require(len(values) == 3 and all(map(isfinite, values)), name, values, "3 numbers")  # noqa: PLR2004  red, green, blue
            object.__setattr__(self, name, values)
        _require(min(self.std) > 0, "std", self.std, "positive")
        # 1 and 1.0 are one rule and must make one space id.
        object.__setattr__(self, "crop", float(self.crop))

    def square(self, width: float, height: float) -> tuple[float, float, float]:
        """Return left, top and side of the square that is looked at, in an image of this size."""
        side = self.crop * min(width, height)
        return (width - side) / 2, (height - side) / 2, side

    def check(self, pixels: UInt8) -> None:
        """Raise `ValueError` unless `pixels` is uint8 (n_images, size, size, 3)."""
        expected = (self.size, self.size, 3)
        if pixels.dtype != np.uint8 or pixels.shape[1:] != expected:
            raise ValueError(
                f"pixels must be uint8 (n, {self.size}, {self.size}, 3), "
                f"got {pixels.dtype} {pixels.shape}"
            )


@dataclass(frozen=True, slots=True)
class Block:
    """Columns `start` to `stop` (exclusive) of a feature matrix, by name."""

    name: str
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class EmbeddingSpace:
    """Everything that changes a vector. Two vectors compare only if their space ids are equal."""

    backbone: str
    weights_sha256: str
    layer: str
    stages: tuple[Stage, ...]
    preprocessing: Preprocessing
    precision: str
    dim: int
    id: str = field(init=False, compare=False)
    """Derived from all other fields: first 16 hex digits of the SHA-256 of their canonical JSON."""
    stages_dim: int = field(init=False, compare=False, repr=False)
    """Length of the stages vector: a mean and a standard deviation per channel."""

    def __post_init__(self) -> None:
        for name in ("backbone", "layer", "precision"):
            _require(bool(getattr(self, name)), name, getattr(self, name), "not empty")
        _require(is_digest(self.weights_sha256), "weights_sha256", self.weights_sha256, "a digest")
        _require(self.dim > 0, "dim", self.dim, "positive")
        names = [stage.name for stage in self.stages]
        _require(len(set(names)) == len(names), "stage names", names, "different from each other")
        canonical = json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"))
        object.__setattr__(self, "id", digest(canonical.encode())[:ID_LENGTH])
        object.__setattr__(self, "stages_dim", sum(2 * stage.channels for stage in self.stages))

    @property
    def width(self) -> int:
        """Length of embedding and stages together: the columns heads learn from."""
        return self.dim + self.stages_dim

    @property
    def blocks(self) -> tuple[Block, ...]:
        """The columns of `Vectors.matrix()`, named, in order and without gaps."""
        lengths = [("penultimate", self.dim)]
        for stage in self.stages:
            lengths += [
                (f"{stage.name}.mean", stage.channels),
                (f"{stage.name}.std", stage.channels),
            ]
        blocks, start = [], 0
        for name, length in lengths:
            blocks.append(Block(name, start, start + length))
            start += length
        return tuple(blocks)

    def to_dict(self) -> dict[str, Any]:
        """Return the space as JSON-able data, without the id, which follows from it."""
        data = {f.name: getattr(self, f.name) for f in fields(self) if f.init}
        data["stages"] = [asdict(stage) for stage in self.stages]
        data["preprocessing"] = asdict(self.preprocessing)
        for name in ("mean", "std"):
            data["preprocessing"][name] = list(data["preprocessing"][name])
        return {"format": FORMAT, **data}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Build a space from what `to_dict` returned.

        Raises:
            ValueError: a field is missing, unknown, of the wrong type or out of range, or the
                format number is not ours.
        """
        values = dict(_object(data, "space"))
        found = values.pop("format", None)
        if found != FORMAT:
            raise ValueError(f"space format {found!r} is not {FORMAT}, the one this version reads")
        _take(cls, values)
        stages = _list(values["stages"], "stages")
        return cls(
            **values
            | {
                "stages": tuple(Stage(**_take(Stage, stage)) for stage in stages),
                "preprocessing": _preprocessing(values["preprocessing"]),
            }
        )


@dataclass(frozen=True, slots=True, eq=False)
class Vectors:
    """What a backbone says of n images, in order.

    `embeddings`: float32 (n_images, dim); `stages`: float32 (n_images, stages_dim).
    """

    embeddings: Float32
    stages: Float32

    def __post_init__(self) -> None:
        for name, array in (("embeddings", self.embeddings), ("stages", self.stages)):
            if array.dtype != np.float32 or array.ndim != 2:  # noqa: PLR2004  a matrix
                raise ValueError(f"{name} must be float32 (n, d), got {array.dtype} {array.shape}")
        if len(self.embeddings) != len(self.stages):
            raise ValueError(f"{len(self.embeddings)} embeddings but {len(self.stages)} stages")

    def matrix(self) -> Float32:
        """Return float32 (n_images, width): embedding beside stages, as `EmbeddingSpace.blocks`."""
        return np.concatenate((self.embeddings, self.stages), axis=1)

    def __len__(self) -> int:
        return len(self.embeddings)

    def __getitem__(self, rows: slice | Sequence[int] | npt.NDArray[np.integer[Any]]) -> "Vectors":
        return Vectors(self.embeddings[rows], self.stages[rows])

    @staticmethod
    def concat(parts: Sequence["Vectors"]) -> "Vectors":
        """Join several into one, in order; at least one is needed, for its dimensions."""
        return Vectors(
            np.concatenate([part.embeddings for part in parts]),
            np.concatenate([part.stages for part in parts]),
        )


def _require(holds: bool, what: str, value: object, expected: str) -> None:  # noqa: FBT001  a condition reads best in first place
    if not holds:
        _refuse(what, value, expected)


def _refuse(what: str, value: object, expected: str) -> NoReturn:
    raise ValueError(f"{what} must be {expected}, got {value!r}")


_PARSED_BY_HAND = frozenset({"stages", "preprocessing", "mean", "std"})


def _take(cls: type, data: object) -> dict[str, Any]:
    """Return `data` as the arguments of dataclass `cls`, names and scalar types checked."""
    values = dict(_object(data, cls.__name__))
    expected = {f.name: f.type for f in fields(cls) if f.init}
    if values.keys() != expected.keys():
        _refuse(f"fields of {cls.__name__}", sorted(map(str, values)), f"exactly {list(expected)}")
    for name in expected.keys() - _PARSED_BY_HAND:
        if expected[name] is float:
            values[name] = _number(values[name], name)
        elif type(values[name]) is not expected[name]:
            _refuse(name, values[name], f"of type {expected[name]}")
    return values


def _preprocessing(data: object) -> Preprocessing:
    values = _take(Preprocessing, data)
    for name in ("mean", "std"):
        values[name] = tuple(_number(value, name) for value in _list(values[name], name))
    return Preprocessing(**values)


def _object(data: object, what: str) -> Mapping[str, Any]:
    return data if isinstance(data, Mapping) else _refuse(what, data, "an object")


def _list(data: object, what: str) -> Sequence[object]:
    return data if isinstance(data, list | tuple) else _refuse(what, data, "a list")


def _number(data: object, what: str) -> float:
    if isinstance(data, bool) or not isinstance(data, int | float):
        _refuse(what, data, "a number")
    return float(data)
