"""The questions asked of every method and the images drawn for them. Knows nothing of methods."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

IMAGES_PER_CLASS = (10, 25, 50)
TEST_IMAGES_PER_CLASS = 400


@dataclass(frozen=True, slots=True)
class Case:
    """One question: the image set it is asked of, and the class of each of its labels."""

    image_set: str
    name: str
    classes: dict[str, str]


def _same(*labels: str) -> dict[str, str]:
    return {label: label for label in labels}


_MATERIALS = ("cardboard", "glass", "metal", "paper", "plastic", "trash")
_THUMBNAILS = ("AbdomenCT", "BreastMRI", "CXR", "ChestCT", "Hand", "HeadCT")
_HEAPS = {
    "glass": "a",
    "plastic": "a",
    "trash": "a",
    "metal": "b",
    "paper": "b",
    "cardboard": "b",
}
_PNEUMONIA = {"normal": "normal", "pneumonia_bacteria": "ill", "pneumonia_virus": "ill"}
CASES = (
    Case("kermany_cxr", "normal v pneumonia", _PNEUMONIA),
    Case("kermany_cxr", "normal v virus", _same("normal", "pneumonia_virus")),
    Case("kermany_cxr", "bacteria v virus", _same("pneumonia_bacteria", "pneumonia_virus")),
    Case("kermany_cxr", "3 classes", _same("normal", "pneumonia_bacteria", "pneumonia_virus")),
    Case("idc_breast", "idc v not", _same("idc", "non_idc")),
    Case("trashnet", "6 classes", _same(*_MATERIALS)),
    Case("trashnet", "glass v plastic", _same("glass", "plastic")),
    Case("trashnet", "metal v glass", _same("metal", "glass")),
    Case("trashnet", "paper v trash", _same("paper", "trash")),
    Case("trashnet", "two mixed heaps", _HEAPS),
    Case("hymenoptera", "ants v bees", _same("ants", "bees")),
    Case("mednist", "6 classes", _same(*_THUMBNAILS)),
    Case("mednist", "abdomen v chest", _same("AbdomenCT", "ChestCT")),
)


@dataclass(frozen=True, slots=True)
class Draw:
    """One training sample and the test images of the other half, no group on both sides.

    X: float32 (n_images, width), raw [penultimate | stages]; y: int64 (n_images,).
    """

    X: NDArray[np.float32]
    y: NDArray[np.int64]
    groups: NDArray[np.str_]
    X_test: NDArray[np.float32]
    y_test: NDArray[np.int64]
    groups_test: NDArray[np.str_]


@dataclass(frozen=True, slots=True)
class ImageSet:
    """All vectors, labels and groups of one image set."""

    X: NDArray[np.float32]
    labels: NDArray[np.str_]
    groups: NDArray[np.str_]


def cases_in(folder: Path) -> list[Case]:
    """Return the questions that can be asked of the image sets in a folder; ends without any."""
    found = [case for case in CASES if (folder / f"{case.image_set}.npz").exists()]
    if not found:
        names = ", ".join(dict.fromkeys(case.image_set for case in CASES))
        raise SystemExit(
            f"No image set to draw from. In {folder} one of them is needed, as vectors.py writes "
            f"it: {names}."
        )
    return found


def load(folder: Path, image_set: str) -> ImageSet:
    """Read `<image_set>.npz`; images without a group are each their own group."""
    with np.load(folder / f"{image_set}.npz") as file:
        X = np.concatenate([file["embeddings"], file["stages"]], axis=1).astype(np.float32)
        groups = file["groups"].astype(str)
        alone = np.array([f"image {i}" for i in range(len(X))])
        return ImageSet(X, file["labels"].astype(str), np.where(groups == "", alone, groups))


def draw(images: ImageSet, case: Case, per_class: int, seed: int) -> Draw:
    """Halve the groups, take `per_class` images a class from one half, test on the other."""
    rows = np.flatnonzero(np.isin(images.labels, list(case.classes)))
    names = sorted(set(case.classes.values()))
    y = np.array([names.index(case.classes[label]) for label in images.labels[rows]])
    groups = images.groups[rows]
    rng = np.random.default_rng([zlib.crc32(f"{case.image_set} {case.name}".encode()), seed])
    halves = StratifiedGroupKFold(2, shuffle=True, random_state=int(rng.integers(1 << 30)))
    train_half, test_half = next(iter(halves.split(rows, y, groups)))

    def take(half: NDArray[np.int64], limit: int) -> NDArray[np.int64]:
        return np.concatenate([rng.permutation(half[y[half] == c])[:limit] for c in np.unique(y)])

    train, test = take(train_half, per_class), take(test_half, TEST_IMAGES_PER_CLASS)
    X = images.X[rows]
    return Draw(X[train], y[train], groups[train], X[test], y[test], groups[test])


def all_draws(folder: Path, draws: int) -> Iterator[tuple[Case, int, int, Draw]]:
    """Every case of which there are images at every size, `draws` times."""
    for case in cases_in(folder):
        images = load(folder, case.image_set)
        for per_class in IMAGES_PER_CLASS:
            for seed in range(draws):
                yield case, per_class, seed, draw(images, case, per_class, seed)
