"""A head: its card, its trees, and the files they are kept in.

Files are parsed, then audited, and only then is anything built from them. Knows no folders.
"""

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from classifiers.blocks import Scaling
from classifiers.boosting import objective_line, raw_scores, read
from classifiers.card import Card
from classifiers.errors import HeadDamaged, SpaceMismatch
from classifiers.novelty import Novelty, unit_rows
from classifiers.probabilities import linear_scores, to_answers
from classifiers.tree_shape import BadText
from classifiers.trees import Trees, parse

if TYPE_CHECKING:
    import lightgbm

CARD, MODEL = "card.json", "model.txt"

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Head:
    """A trained head. `Head.assemble` and `Head.from_files` make one.

    Attributes:
        card: what it says of itself, the hashes of its files included.
        text: the booster, as LightGBM writes it (`trees.canonical`).
        trees: the booster, parsed.
        arrays: "linear": float32 (n_outputs, n_columns) and "intercept": float64 (n_outputs,), the
            linear parts of the mixture in one; "column_means": float32 (n_columns,), of the images
            it learnt from; "novelty_*": what images it learnt from look like;
            "out_of_fold": float32 (n_images, n_answers), the calibrated answer for each image it
            learnt from, given by models that had not seen it; "truth": float64 (n_images,
            n_outputs), what each output should have said (`Question.targets`). Rows are in the
            order of digests, which are not kept.
    """

    card: Card
    text: str
    trees: Trees
    arrays: Mapping[str, Array]

    @classmethod
    def assemble(cls, card: Card, text: str, arrays: Mapping[str, Array]) -> "Head":
        """Build a head from its parts; the card gets the hashes of the files."""
        files = {MODEL: text.encode(), **{f"{name}.npy": _dump(arrays[name]) for name in arrays}}
        hashes = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
        trees = _trees(text, card)
        return cls(card.with_files(hashes), text, trees, dict(arrays))

    @property
    def classes(self) -> tuple[str, ...]:
        """Labels in the order of probabilities; none of numbers."""
        return self.card.classes

    def raw(self, X: Float32) -> Float64:
        """Return LightGBM's raw scores: float64 (n_images, n_outputs).

        Args:
            X: float32 (n_images, width), the feature matrix as the backbone made it.

        Raises:
            SpaceMismatch: if X has another width.
        """
        check_width(X, self.card.width)
        return raw_scores(self.booster, self.scaling.scale(X), self.card.n_outputs)

    def answers(self, X: Float32) -> Float64:
        """Return the probability of each class, or the number: float64 (n_images, n_answers).

        Rows sum to 1 where classes exclude each other.

        Args:
            X: float32 (n_images, width), the feature matrix as the backbone made it.

        Raises:
            SpaceMismatch: if X has another width.
        """
        check_width(X, self.card.width)
        return self.answers_of(self.scaling.scale(X))

    def answers_of(self, columns: Float32) -> Float64:
        """Return what `answers` does, from columns that are scaled already."""
        question = self.card.question
        raw = raw_scores(self.booster, columns, question.n_outputs)
        # As wide as when it is asked among others: the sum then runs the same way.
        score = linear_scores(self.spread(columns), self.linear, self.arrays["intercept"])
        return to_answers(
            score + np.array(self.card.tree_factors) * raw,
            np.array([question.n_outputs]),
            np.array([question.link]),
            np.array([self.card.doubt]),
        )

    def usualness(self, X: Float32) -> Float64:
        """Return how usual images are among those it learnt from: float64 (n_images,), a p-value.

        Small is strange: 0.05 or less for about 5 % of new images of the learnt kind.
        """
        check_width(X, self.card.width)
        return self.novelty.p_value(unit_rows(self.scaling.first(self.scaling.scale(X))))

    def spread(self, columns: Float32) -> Float32:
        """Return columns where they lie in the feature matrix: float32 (n, width), else zeros."""
        wide = np.zeros((len(columns), self.card.width), np.float32)
        wide[:, self.scaling.columns] = columns
        return wide

    @property
    def linear(self) -> Float32:
        """The linear base: float32 (n_outputs, width)."""
        return self.spread(self.arrays["linear"])

    @cached_property
    def novelty(self) -> Novelty:
        """What the images it learnt from look like."""
        return _novelty(self.arrays)

    @cached_property
    def scaling(self) -> Scaling:
        """The columns the head looks at, and how they are scaled."""
        return self.card.scaling

    @cached_property
    def booster(self) -> "lightgbm.Booster":
        """LightGBM's own reading of the text."""
        return read(self.text)

    def to_files(self) -> dict[str, bytes]:
        """Return the files of the head by name; the card names the hash of each of the others."""
        arrays = {f"{name}.npy": _dump(array) for name, array in self.arrays.items()}
        return {CARD: self.card.to_json(), MODEL: self.text.encode(), **arrays}

    @classmethod
    def from_files(cls, files: Mapping[str, bytes], artefact: str = "from files") -> "Head":
        """Build a head from its files, whoever made them.

        Args:
            files: what `to_files` returned, here or elsewhere.
            artefact: what errors call it.

        Raises:
            HeadDamaged: if a file is missing, too many, or not what the card says it is.
        """
        try:
            return cls._audited(files)
        except (ValueError, KeyError) as problem:
            raise HeadDamaged(artefact, str(problem)) from problem

    @classmethod
    def _audited(cls, files: Mapping[str, bytes]) -> "Head":
        if CARD not in files:
            raise ValueError(f"{CARD} is missing")
        card = Card.from_json(files[CARD])
        expected = {MODEL, *(f"{name}.npy" for name in _forms(card))}
        for name in sorted(expected | card.files.keys() | files.keys() - {CARD}):
            if name not in expected or name not in card.files or name not in files:
                raise ValueError(f"{name} is missing or does not belong there")
            if hashlib.sha256(files[name]).hexdigest() != card.files[name]:
                raise ValueError(f"{name} is not the file that the card was written for")
        try:
            text = files[MODEL].decode("ascii")
            trees = _trees(text, card)
        except (UnicodeDecodeError, BadText) as problem:
            raise ValueError(f"{MODEL}: {problem}") from problem
        return cls(card, text, trees, _load_arrays(card, files))


def _forms(card: Card) -> dict[str, tuple[type[np.generic], tuple[int, ...]]]:
    """The type and shape that each array of a head must have."""
    first = card.blocks[0]
    dim, n_columns = first.stop - first.start, card.scaling.n_columns
    return {
        "linear": (np.float32, (card.n_outputs, n_columns)),
        "intercept": (np.float64, (card.n_outputs,)),
        "column_means": (np.float32, (n_columns,)),
        "novelty_rows": (np.int8, (1 + card.novelty.directions, dim)),
        "novelty_steps": (np.float64, (1 + card.novelty.directions,)),
        "novelty_distances": (np.float64, (card.novelty.distances,)),
        "novelty_residual": (np.float64, (1,)),
        "out_of_fold": (np.float32, (card.n_images, card.question.n_answers)),
        "truth": (np.float64, (card.n_images, card.n_outputs)),
    }


def _trees(text: str, card: Card) -> Trees:
    objective = objective_line(card.question)
    return parse(text, card.scaling.n_columns, card.n_outputs, objective)


def _novelty(arrays: Mapping[str, Array]) -> Novelty:
    prefix = "novelty_"
    own = {n.removeprefix(prefix): a for n, a in arrays.items() if n.startswith(prefix)}
    return Novelty.from_arrays(own)


def check_width(X: Float32, width: int) -> None:
    """Raise `SpaceMismatch` unless X is float32 (n_images, width)."""
    if X.dtype != np.float32 or X.ndim != 2 or X.shape[1] != width:  # noqa: PLR2004  rows and columns
        raise SpaceMismatch(f"float32 (n, {width})", f"{X.dtype} {X.shape}")


def _dump(array: Array) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.ascontiguousarray(array), (1, 0), allow_pickle=False)
    return buffer.getvalue()


def _load_arrays(card: Card, files: Mapping[str, bytes]) -> dict[str, Array]:
    arrays = {name: _load(name, files, *form) for name, form in _forms(card).items()}
    for name in ("linear", "intercept", "column_means", "out_of_fold", "truth"):
        if not np.isfinite(arrays[name]).all():
            raise ValueError(f"{name}.npy has what is no number")
    shares, truth = arrays["out_of_fold"], arrays["truth"]
    if not card.question.is_number and not ((shares >= 0) & (shares <= 1)).all():
        raise ValueError("out_of_fold.npy has what is no probability")
    if not card.question.is_truth(truth):
        raise ValueError("truth.npy has what no label says")
    _novelty(arrays)
    return arrays


def _load(
    name: str, files: Mapping[str, bytes], dtype: type[np.generic], shape: tuple[int, ...]
) -> Array:
    """Read an array whose type and shape are known: nothing in the file decides what is built."""
    data, wanted = files[f"{name}.npy"], np.dtype(dtype).newbyteorder("<")
    header = io.BytesIO()
    described = {"descr": wanted.str, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(header, described)
    start = header.tell()
    if data[:start] != header.getvalue() or len(data) - start != prod(shape) * wanted.itemsize:
        raise ValueError(f"{name}.npy is no {wanted.name} {shape}")
    return np.frombuffer(data[start:], wanted).reshape(shape)
