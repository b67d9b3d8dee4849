"""How many wrong labels the label audit finds, and how many copies of images.

    python benchmarks/suspects.py [--data DIR] [--draws 5] [--per-class 200]

Images of each set in DIR are embedded through the features package. One label in ten is replaced by
another class, drawn at random; a head learns; its out-of-fold answers rank the labels, as the audit
lists them and in other ways. Printed is the share of the replaced labels in the first tenth of each
list. Then some images are saved again, smaller and as JPEGs of lower quality, and the share of them
that is found as copies is printed. Sets that are not there are skipped.
"""

from __future__ import annotations

import argparse
import csv
import random
import tempfile
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from classifiers.blocks import Scaling, choose_blocks
from classifiers.copies import find_copies
from classifiers.labels import LabelSet
from classifiers.suspects import find_suspects
from classifiers.tasks import Question
from classifiers.training import learn
from features.call import Embedded
from features.embedder import Embedder
from features.engine import open_engine
from features.keys import EmbeddingSpace, digest

SETS = {
    "hymenoptera": {"ants": "ants", "bees": "bees"},
    "trashnet": {n: n for n in ("cardboard", "glass", "metal", "paper", "plastic", "trash")},
    "kermany_cxr": {
        "normal": "normal",
        "pneumonia_bacteria": "pneumonia",
        "pneumonia_virus": "pneumonia",
    },
    "idc_breast": {"idc": "idc", "non_idc": "non_idc"},
}
FLIPPED = 0.1

Float = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Images:
    """What is known of some images; X: float32 (n_images, width)."""

    paths: list[Path]
    digests: list[str]
    labels: list[str]
    groups: list[str | None]
    X: NDArray[np.float32]


def chosen(folder: Path, classes: dict[str, str], per_class: int) -> list[tuple[Path, str]]:
    """The same images of each class every time."""
    found: list[tuple[Path, str]] = []
    for label in sorted(set(classes.values())):
        files = [p for c, of in classes.items() if of == label for p in (folder / c).iterdir()]
        files = sorted(files)
        random.Random(0).shuffle(files)
        found += [(path, label) for path in files[:per_class]]
    return found


def vectors(embedder: Embedder, contents: list[bytes]) -> list[Embedded]:
    found: list[Embedded] = []
    for start in range(0, len(contents), 64):
        some: list[tuple[str | None, bytes]] = [(None, b) for b in contents[start : start + 64]]
        for one in embedder.embed(some, None, remember="no"):
            if not isinstance(one, Embedded):
                raise one
            found.append(one)
    return found


def load(folder: Path, classes: dict[str, str], embedder: Embedder, per_class: int) -> Images:
    group_of: dict[str, str] = {}
    if (folder / "groups.csv").exists():
        with (folder / "groups.csv").open() as table:
            group_of = {row["path"]: row["group"] for row in csv.DictReader(table)}
    files = chosen(folder, classes, per_class)
    once = {digest(path.read_bytes()): (path, label) for path, label in files}
    kept = sorted(once.items())
    paths = [path for _, (path, _) in kept]
    found = vectors(embedder, [path.read_bytes() for path in paths])
    X = np.stack([np.concatenate([e.embedding, e.stages]) for e in found])
    return Images(
        paths,
        [key for key, _ in kept],
        [label for _, (_, label) in kept],
        [group_of.get(path.relative_to(folder).as_posix()) for path in paths],
        X,
    )


def rankings(p: Float, given: NDArray[np.int64]) -> dict[str, NDArray[np.int64]]:
    """Rows, most suspect first, as the audit lists them and in other ways."""
    rows = np.arange(len(p))
    own = p[rows, given]
    rest = p.copy()
    rest[rows, given] = 0
    other = rest.max(axis=1)
    usual = np.array([own[given == c].mean() for c in range(p.shape[1])])
    scores = {
        "p(label)": own,
        "margin": own - other,
        "log-ratio": np.log(np.maximum(own, 1e-12)) - np.log(np.maximum(other, 1e-12)),
        "p(label) less its class's mean": own - usual[given],
    }
    k = p.shape[1]
    question = Question("binary" if k == 2 else "multiclass", tuple(map(str, range(k))))
    truth = question.targets([str(number) for number in given.tolist()])
    listed = {"as listed": np.array([s.row for s in find_suspects(p, truth, question)], np.int64)}
    return listed | {name: np.argsort(s, kind="stable") for name, s in scores.items()}


def one_draw(images: Images, space: EmbeddingSpace, seed: int) -> dict[str, float]:
    rng = np.random.default_rng(seed)
    classes = sorted(set(images.labels))
    true = np.array([classes.index(label) for label in images.labels])
    flipped = rng.choice(len(true), round(FLIPPED * len(true)), replace=False)
    given = true.copy()
    given[flipped] = (true[flipped] + rng.integers(1, len(classes), len(flipped))) % len(classes)
    known = any(images.groups)
    label_set = LabelSet(
        tuple(images.digests),
        tuple(classes[c] for c in given),
        tuple(images.groups) if known else None,
    )
    blocks = [(b.name, b.start, b.stop) for b in space.blocks]
    head = learn(
        images.X, label_set, name="audit", space_id=space.id, blocks=blocks, allow_no_signal=True
    )
    p = head.arrays["out_of_fold"].astype(np.float64)
    first = round(FLIPPED * len(true))
    found = {
        name: float(np.isin(flipped, order[:first]).mean())
        for name, order in rankings(p, given).items()
    }
    return {**found, "accuracy": float((p.argmax(axis=1) == true).mean())}


def at_best(area: float, count: int = 400_000) -> float:
    """Share of wrong labels in the first tenth if scores are normal, and their odds are known."""
    rng = np.random.default_rng(0)
    apart = 2**0.5 * NormalDist().inv_cdf(area)
    true = rng.integers(0, 2, count)
    odds = apart * (rng.standard_normal(count) + apart * (true - 0.5))
    wrong = rng.random(count) < FLIPPED
    first = np.argsort(np.where(true ^ wrong, odds, -odds))[: round(FLIPPED * count)]
    return float(wrong[first].sum() / wrong.sum())


def saved_again(path: Path, scale: float, quality: int) -> bytes:
    with Image.open(path) as opened:
        image = opened.convert("RGB")
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    out = BytesIO()
    image.resize(size, Image.Resampling.LANCZOS).save(out, "JPEG", quality=quality)
    return out.getvalue()


COPIES = {"JPEG 90": (1.0, 90), "JPEG 60": (1.0, 60), "70 %, 85": (0.7, 85), "half, 75": (0.5, 75)}


def copies(images: Images, space: EmbeddingSpace, embedder: Embedder) -> None:
    """Prints the copies found among the images, and the share of copies made that are found."""
    scaling = Scaling(
        choose_blocks([(b.name, b.start, b.stop) for b in space.blocks], ("all",)), "l2"
    )

    def looked_at(X: NDArray[np.float32]) -> NDArray[np.float32]:
        return scaling.details(scaling.scale(X))

    Z = looked_at(images.X)
    sets = [found.rows for found in find_copies(Z)]
    largest = max(map(len, sets), default=0)
    print(f"{len(sets)} sets of copies among them, the largest of {largest}")
    some = list(range(0, len(images.paths), max(1, len(images.paths) // 60)))
    for name, (scale, quality) in COPIES.items():
        again = vectors(embedder, [saved_again(images.paths[i], scale, quality) for i in some])
        copied = looked_at(np.stack([np.concatenate([e.embedding, e.stages]) for e in again]))
        of = {
            row: found for found in find_copies(np.concatenate([Z, copied])) for row in found.rows
        }
        share = np.mean([i in of and len(Z) + at in of[i].rows for at, i in enumerate(some)])
        print(f"copies, {name}: {share:.2f} found")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    here = Path(__file__).resolve().parents[1]
    parser.add_argument("--data", type=Path, default=here.parent / "shared" / "data")
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--per-class", type=int, default=200)
    given = parser.parse_args()
    for area in (0.80, 0.85, 0.87, 0.89, 0.92, 0.95, 0.98, 0.99):
        print(f"a head with an AUC of {area:.2f} finds {at_best(area):.2f} at best")
    with tempfile.TemporaryDirectory() as cache:
        engine = open_engine("efficientnet_lite0", cache=Path(cache))
        embedder = Embedder(engine)
        for name, classes in SETS.items():
            if not (given.data / name).is_dir():
                print(f"{name}: skipped, {given.data / name} is not here")
                continue
            images = load(given.data / name, classes, embedder, given.per_class)
            print(f"\n{name}: {len(images.paths)} images, {len(set(images.labels))} classes\n")
            copies(images, engine.space, embedder)
            print()
            draws = [one_draw(images, engine.space, seed) for seed in range(given.draws)]
            for what in draws[0]:
                values = np.array([d[what] for d in draws])
                print(f"- {what}: {values.mean():.2f}, {values.min():.2f} to {values.max():.2f}")
        embedder.close()
        engine.close()


if __name__ == "__main__":
    main()
