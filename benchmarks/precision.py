"""What a space of lower precision gains in speed, and what it costs: images per second and AUC.

    python benchmarks/precision.py DIR [DIR ...] [--backbone efficientnet_lite0] [--draws 3]
        [--precisions f32,bf16,int8] [--per-class 200] [--rounds 15]

A DIR holds a folder of images for each class, and `groups.csv` (path,group) where images belong
together. int8 needs the extra `int8`. All that a table compares is measured in one run, the
precisions taking turns in every round, so that whatever else the machine does meets all of them.

    images/s, ratio   of images that are decoded already: 64 at once, and one after the other. The
                      ratio is the median over rounds of the ratio to f32 in the same round.
    error, cosine     of vectors against those of f32: the largest difference of an image relative
                      to its largest value, median over images; the cosine, median and least.
    AUC               of a head that learns from one half of the images, group by group, on the
                      other half; one versus rest, macro. The difference to f32 is paired: the same
                      images in the same halves; ± is its standard error over draws.
"""

from __future__ import annotations

import argparse
import csv
import datetime as dt
import tempfile
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from classifiers.labels import LabelSet
from classifiers.training import learn
from features.engine import Engine, open_engine
from features.images import decode
from features.keys import EmbeddingSpace, digest

AT_ONCE = 64
ALONE = 16

Float = NDArray[np.float64]
Vectors = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Images:
    """Some images; pixels: uint8 (n_images, size, size, 3)."""

    digests: list[str]
    labels: list[str]
    groups: list[str]
    pixels: NDArray[np.uint8]


def read(folder: Path, per_class: int, space: EmbeddingSpace) -> Images:
    """So many images of each class, always the same, no two alike."""
    table, group_of = folder / "groups.csv", {}
    if table.is_file():
        with table.open() as file:
            group_of = {row["path"]: row["group"] for row in csv.DictReader(file)}
    chance = np.random.default_rng(0)
    found: dict[str, tuple[str, str, NDArray[np.uint8]]] = {}
    for kind in sorted(path for path in folder.iterdir() if path.is_dir()):
        files = sorted(kind.iterdir())
        for i in chance.permutation(len(files))[:per_class].tolist():
            data, place = files[i].read_bytes(), files[i].relative_to(folder).as_posix()
            pixels = decode(data, space.preprocessing)
            found[digest(data)] = (kind.name, group_of.get(place, place), pixels)
    labels, groups, pixels = zip(*found.values(), strict=True)
    return Images(list(found), list(labels), list(groups), np.stack(pixels))


def pace(engines: dict[str, Engine], pixels: NDArray[np.uint8], rounds: int) -> None:
    """Prints how many images a second each precision sees."""
    many = np.resize(pixels, (AT_ONCE, *pixels.shape[1:]))
    speed: dict[str, list[tuple[float, float]]] = {name: [] for name in engines}
    for turn in range(rounds + 1):
        for name, engine in engines.items():
            start = perf_counter()
            engine.run(many)
            between = perf_counter()
            for i in range(ALONE):
                engine.run(many[i : i + 1])
            end = perf_counter()
            if turn:  # The first is for warming up.
                speed[name].append((AT_ONCE / (between - start), ALONE / (end - between)))
    reference = np.array(speed["f32"])
    print("| precision | images/s, 64 at once | ratio | images/s, one by one | ratio |")
    print("|---|--:|--:|--:|--:|")
    for name, measured in speed.items():
        at_once, alone = np.median(measured, axis=0)
        ratios = np.array(measured) / reference
        low, high = np.quantile(ratios[:, 0], [0.25, 0.75])
        one = np.median(ratios[:, 1])
        print(
            f"| {name} | {at_once:.0f} | {np.median(ratios[:, 0]):.2f} ({low:.2f} to {high:.2f}) "
            f"| {alone:.0f} | {one:.2f} |"
        )


def closeness(found: Vectors, wanted: Vectors) -> str:
    """How far vectors are from those of f32, as cells of a table."""
    error = np.abs(found - wanted).max(axis=1) / np.abs(wanted).max(axis=1)
    norms = np.linalg.norm(found, axis=1) * np.linalg.norm(wanted, axis=1)
    cosine = (found * wanted).sum(axis=1) / norms
    return f"{np.median(error):.1e} | {np.median(cosine):.4f} | {cosine.min():.4f}"


def held_out(X: Vectors, images: Images, space: EmbeddingSpace, seed: int) -> float:
    """The AUC of a head on the half of the groups that it has not learnt from."""
    names = np.unique(images.groups)
    chosen = np.random.default_rng(seed).permutation(names)[: len(names) // 2]
    first = np.isin(images.groups, chosen)
    rows, grouped = np.flatnonzero(first).tolist(), len(names) < len(first)
    head = learn(
        X[first],
        LabelSet(
            tuple(images.digests[i] for i in rows),
            tuple(images.labels[i] for i in rows),
            tuple(images.groups[i] for i in rows) if grouped else None,
        ),
        name="precision",
        space_id=space.id,
        blocks=[(b.name, b.start, b.stop) for b in space.blocks],
        allow_no_signal=True,
        threads=2,
    )
    p, true = head.answers(X[~first]), np.array(images.labels)[~first]
    areas = [roc_auc_score(true == label, p[:, c]) for c, label in enumerate(head.classes)]
    return float(np.mean(areas))


def cost(engines: dict[str, Engine], folder: Path, images: Images, draws: int) -> None:
    """Prints what each precision costs on one set."""
    vectors = {name: engine.run(images.pixels) for name, engine in engines.items()}
    reference = vectors["f32"]
    areas = {
        name: np.array(
            [held_out(v.matrix(), images, engines[name].space, seed) for seed in range(draws)]
        )
        for name, v in vectors.items()
    }
    kinds = len(set(images.labels))
    print(f"\n{folder.name}: {len(images.labels)} images, {kinds} classes, {draws} draws\n")
    print(
        "| precision | embedding: error | cosine | least | stages: error | cosine | least "
        "| AUC | less f32 |"
    )
    print("|---|--:|--:|--:|--:|--:|--:|--:|--:|")
    for name, v in vectors.items():
        difference = areas[name] - areas["f32"]
        error = difference.std(ddof=1) / np.sqrt(draws) if draws > 1 else float("nan")
        print(
            f"| {name} | {closeness(v.embeddings, reference.embeddings)} "
            f"| {closeness(v.stages, reference.stages)} "
            f"| {areas[name].mean():.4f} | {difference.mean():+.4f} ± {error:.4f} |",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", type=Path, nargs="+", metavar="DIR")
    parser.add_argument("--backbone", default="efficientnet_lite0")
    parser.add_argument("--precisions", default="f32,bf16,int8")
    parser.add_argument("--per-class", type=int, default=200)
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--cache", type=Path, help="folder of converted backbones to use")
    given = parser.parse_args()
    names = ["f32", *(p for p in given.precisions.split(",") if p != "f32")]
    with tempfile.TemporaryDirectory() as folder:
        engines = {
            name: open_engine(
                given.backbone if name == "f32" else f"{given.backbone}@{name}",
                device="cpu",
                cache=given.cache or Path(folder),
            )
            for name in names
        }
        print(f"{given.backbone}, {dt.datetime.now(tz=dt.UTC):%Y-%m-%d}\n")
        for number, place in enumerate(given.folders):
            images = read(place, given.per_class, engines["f32"].space)
            if number == 0:
                pace(engines, images.pixels[:AT_ONCE], given.rounds)
            cost(engines, place, images, given.draws)
        for engine in engines.values():
            engine.close()


if __name__ == "__main__":
    main()
