"""How well heat maps say which places of an image an answer rests on, checked by covering places.

    python benchmarks/explain.py [--data DIR] [--images 30] [--per-class 50]

For each question a head learns from some images of a set in DIR. Of other images (of other groups,
where there are groups) the heat map is compared with what covering does: each of 7 x 7 places is
covered with the image's mean colour, and the drop of the score measured. Printed are

    rank corr.    Spearman's correlation of the heat map and these drops, mean over the images with
                  its standard error; beside it, that of two pictures which know no head: how
                  central a place is, and how much it varies.
    of 2 x 2      the same correlation where the 36 squares of 2 x 2 places are covered instead.
    drop          of the score where the fifth of the places that the map has highest is covered at
                  once; the fifth that it has lowest; a fifth drawn at random; and the fifth whose
                  single drops were largest, which no map can be expected to beat.

Sets that are not there are skipped.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from classifiers.contributions import contributions, spread
from classifiers.head import Head
from classifiers.labels import LabelSet
from classifiers.training import learn
from features.engine import Engine, open_engine
from features.images import decode
from features.keys import digest
from features.maps import regrid

Float = NDArray[np.float64]
Pixels = NDArray[np.uint8]

CASES = {
    "X-ray: normal or pneumonia": (
        "kermany_cxr",
        {"normal": "normal", "pneumonia_bacteria": "pneumonia", "pneumonia_virus": "pneumonia"},
    ),
    "X-ray: 3 classes": (
        "kermany_cxr",
        {n: n for n in ("normal", "pneumonia_bacteria", "pneumonia_virus")},
    ),
    "histology: cancer or not": ("idc_breast", {"idc": "idc", "non_idc": "non_idc"}),
    "photographs: ants or bees": ("hymenoptera", {"ants": "ants", "bees": "bees"}),
    "photographs: 6 materials": (
        "trashnet",
        {n: n for n in ("cardboard", "glass", "metal", "paper", "plastic", "trash")},
    ),
}
SIDE = 7
COVERED = 10
"""Places covered at once: a fifth of 49."""
RANDOM_DRAWS = 5


@dataclass(frozen=True, slots=True)
class Images:
    """Some images of one question; pixels: uint8 (n_images, size, size, 3)."""

    digests: list[str]
    labels: list[str]
    groups: list[str]
    pixels: Pixels

    def take(self, rows: NDArray[np.int64]) -> Images:
        """Some of them."""
        return Images(
            [self.digests[i] for i in rows],
            [self.labels[i] for i in rows],
            [self.groups[i] for i in rows],
            self.pixels[rows],
        )


def read(folder: Path, classes: dict[str, str], wanted: int, engine: Engine) -> Images:
    """So many images of each class, no two the same."""
    table = folder / "groups.csv"
    groups = {}
    if table.is_file():
        with table.open() as file:
            groups = {row["path"]: row["group"] for row in csv.DictReader(file)}
    rng = np.random.default_rng(0)
    found: dict[str, tuple[str, str, Pixels]] = {}
    for label in sorted(set(classes.values())):
        files = sorted(
            p for c, of in classes.items() if of == label for p in (folder / c).iterdir()
        )
        for i in rng.permutation(len(files))[:wanted].tolist():
            data, path = files[i].read_bytes(), files[i].relative_to(folder).as_posix()
            pixels = decode(data, engine.space.preprocessing)
            found[digest(data)] = (label, groups.get(path, path), pixels)
    labels, names, pixels = zip(*found.values(), strict=True)
    return Images(list(found), list(labels), list(names), np.stack(pixels))


def halves(images: Images, per_class: int, test: int) -> tuple[Images, Images]:
    """Images to learn from, and images of other groups to explain."""
    rng = np.random.default_rng(1)
    names = rng.permutation(sorted(set(images.groups)))
    first = set(names[: len(names) // 2].tolist())
    order = rng.permutation(len(images.labels))
    train: list[int] = []
    for label in sorted(set(images.labels)):
        own = [i for i in order if images.labels[i] == label and images.groups[i] in first]
        train += own[:per_class]
    rest = [i for i in order if images.groups[i] not in first][:test]
    return images.take(np.array(train)), images.take(np.array(rest))


def teach(images: Images, engine: Engine) -> Head:
    """A head."""
    known = len(set(images.groups)) < len(images.groups)
    return learn(
        engine.run(images.pixels).matrix(),
        LabelSet(
            tuple(images.digests), tuple(images.labels), tuple(images.groups) if known else None
        ),
        name="explained",
        space_id=engine.space.id,
        blocks=[(b.name, b.start, b.stop) for b in engine.space.blocks],
        allow_no_signal=True,
        threads=2,
    )


def heat(head: Head, engine: Engine, image: Pixels) -> tuple[Float, str, str]:
    """The heat map of the answer, float64 (SIDE, SIDE), and the labels that it tells apart."""
    row = engine.run(image[np.newaxis]).matrix()[0]
    maps = engine.maps(image)
    names = [block.name for block in engine.space.blocks]
    (found,) = contributions(head, row)
    parts = dict(zip(names, maps.blocks, strict=True))
    layers = spread(head, row, found, parts).values()
    return np.sum([regrid(layer, SIDE) for layer in layers], axis=0), found.of, found.against


class Covering:
    """What covering places of one image does to the score of one label against another."""

    def __init__(self, head: Head, engine: Engine, image: Pixels, of: str, against: str) -> None:
        self._head, self._engine, self._image = head, engine, image
        self._of, self._against = head.classes.index(of), head.classes.index(against)
        self._whole = self._scores(image[np.newaxis])[0]

    def drops(self, covers: list[NDArray[np.bool_]]) -> Float:
        """How far the score falls under each cover: bool (SIDE, SIDE), true where covered."""
        covered = np.repeat(self._image[np.newaxis], len(covers), axis=0)
        step = self._image.shape[0] // SIDE
        colour = self._image.mean(axis=(0, 1)).round().astype(np.uint8)
        for picture, cover in zip(covered, covers, strict=True):
            picture[np.kron(cover, np.ones((step, step), bool))] = colour
        return self._whole - self._scores(covered)

    def _scores(self, pixels: Pixels) -> Float:
        p = self._head.answers(self._engine.run(pixels).matrix())
        return np.asarray(np.log(p[:, self._of]) - np.log(p[:, self._against]))


def rank_correlation(a: Float, b: Float) -> float:
    """Spearman's; 0 where one is even."""
    return float(np.nan_to_num(spearmanr(a.ravel(), b.ravel()).statistic))


def compare(head: Head, engine: Engine, image: Pixels, rng: np.random.Generator) -> list[float]:
    """Every figure of one image."""
    grid, of, against = heat(head, engine, image)
    covering = Covering(head, engine, image, of, against)
    drops = covering.drops(list(np.eye(SIDE**2, dtype=bool).reshape(-1, SIDE, SIDE)))
    cells = np.arange(SIDE) - SIDE // 2
    central = -np.hypot(cells[:, np.newaxis], cells)
    step = image.shape[0] // SIDE
    varied = image.mean(axis=2).reshape(SIDE, step, SIDE, step).std(axis=(1, 3))
    orders = [
        np.argsort(-grid, axis=None),
        np.argsort(grid, axis=None),
        *(rng.permutation(SIDE**2) for _ in range(RANDOM_DRAWS)),
        np.argsort(-drops),
    ]
    covers = [np.isin(np.arange(SIDE**2), o[:COVERED]).reshape(SIDE, SIDE) for o in orders]
    top, low, *rest, best = covering.drops(covers).tolist()
    ranks = [rank_correlation(picture, drops) for picture in (grid, central, varied)]
    return [*ranks, in_squares(grid, covering), top, low, float(np.mean(rest)), best]


def in_squares(grid: Float, covering: Covering) -> float:
    """The rank correlation for all squares of 2 x 2 places."""
    corners = [(row, column) for row in range(SIDE - 1) for column in range(SIDE - 1)]
    covers = np.zeros((len(corners), SIDE, SIDE), bool)
    for cover, (row, column) in zip(covers, corners, strict=True):
        cover[row : row + 2, column : column + 2] = True
    sums = np.array([grid[cover].sum() for cover in covers])
    return rank_correlation(sums, covering.drops(list(covers)))


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--images", type=int, default=30)
    parser.add_argument("--per-class", type=int, default=50)
    given = parser.parse_args()
    print(
        "| question | AUC | rank corr. | central | varied | of 2 x 2 "
        "| drop: highest fifth | lowest | random | by covering |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as cache:
        engine = open_engine(cache=Path(cache))
        for name, (image_set, classes) in CASES.items():
            if not (given.data / image_set).is_dir():
                print(f"| {name} | skipped: {image_set} is not there |")
                continue
            images = read(given.data / image_set, classes, 3 * given.per_class, engine)
            train, test = halves(images, given.per_class, given.images)
            head, rng = teach(train, engine), np.random.default_rng(2)
            table = np.array([compare(head, engine, image, rng) for image in test.pixels])
            means, error = table.mean(axis=0), table[:, 0].std(ddof=1) / np.sqrt(len(table))
            auc = head.card.metrics["auc"]["value"]
            ranks = f"{means[0]:.2f} ± {error:.2f} | {means[1]:.2f} | {means[2]:.2f}"
            drops = " | ".join(f"{value:.2f}" for value in means[3:])
            print(f"| {name} | {auc:.2f} | {ranks} | {drops} |", flush=True)


if __name__ == "__main__":
    main()
