"""How well learning curves fitted on half of the images foretell the whole.

    python benchmarks/heads/vectors.py --images IMAGES --out DIR
    python benchmarks/heads/learning_curve.py --vectors DIR [--sizes 100 200 400] [--draws 2]

For each case and size, so many images are drawn, the same of each class, and halved so that no
group is on both sides. A head learns from the half, another from the whole. Compared is what the
curve of the half expects at twice its images with the AUC on the card of the whole; beside it, how
near that is to the AUC of the half, as if nothing would change. Then labels are dealt out at random
to images of the same sets: no curve may be drawn. Sets that are not there are skipped, and so are
sizes for which a set has too few images.
"""

from __future__ import annotations

import argparse
import zlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from cases import Case, ImageSet, cases_in, load
from numpy.typing import NDArray
from ours import layout
from sklearn.model_selection import StratifiedGroupKFold

from classifiers.card import Card
from classifiers.curve import CLOSE
from classifiers.labels import LabelSet
from classifiers.recipe import Recipe
from classifiers.training import learn

Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Drawn:
    """Images of one case; X: float32 (n_images, width)."""

    X: NDArray[np.float32]
    labels: NDArray[np.str_]
    groups: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.labels)

    def card(self, rows: Rows, seed: int, report: str = "full") -> Card:
        """What a head that learnt from some of them says of itself."""
        known = not all(group.startswith("image ") for group in self.groups)
        label_set = LabelSet(
            tuple(f"{row:064x}" for row in rows),
            tuple(self.labels[rows].tolist()),
            tuple(self.groups[rows].tolist()) if known else None,
        )
        return learn(
            self.X[rows],
            label_set,
            name="benchmark",
            space_id="benchmark",
            blocks=layout(),
            recipe=Recipe(seed=seed, report=report),
            allow_no_signal=True,
        ).card

    def half(self, rng: np.random.Generator) -> Rows:
        """Half of the images, as groups allow it."""
        halves = StratifiedGroupKFold(2, shuffle=True, random_state=int(rng.integers(1 << 30)))
        return np.asarray(next(iter(halves.split(self.labels, self.labels, self.groups)))[0])


def draw(images: ImageSet, case: Case, n: int, rng: np.random.Generator) -> Drawn | None:
    """So many images, group by group, the same of each class; None where there are too few."""
    rows = np.flatnonzero(np.isin(images.labels, list(case.classes)))
    labels = np.array([case.classes[label] for label in images.labels[rows]])
    names = np.unique(labels)
    _, group = np.unique(images.groups[rows], return_inverse=True)
    place = rng.permutation(int(group.max()) + 1)[group]
    taken = []
    for name in names:
        mine = np.flatnonzero(labels == name)
        taken.append(mine[np.argsort(place[mine], kind="stable")][: n // len(names)])
    kept = np.concatenate(taken)
    if len(kept) < n - len(names):
        return None
    return Drawn(images.X[rows[kept]], labels[kept], images.groups[rows[kept]])


def back_tests(folder: Path, case: Case, n: int, draws: int) -> list[tuple[float, float, bool]]:
    """Of each draw: what the curve and what "no change" miss by, and whether the band held."""
    images, found = load(folder, case.image_set), []
    for seed in range(draws):
        name = zlib.crc32(f"{case.image_set} {case.name}".encode())
        rng = np.random.default_rng([name, n, seed, 7])
        drawn = draw(images, case, n, rng)
        if drawn is None:
            continue
        half = drawn.card(drawn.half(rng), seed)
        label = f"{case.image_set}, {case.name}, {len(drawn)} images, draw {seed}"
        if half.growth is None or half.growth.state != "curve":
            print(f"{label}: {half.growth.state if half.growth else 'fast'}", flush=True)
            continue
        whole = drawn.card(np.arange(len(drawn)), seed, "fast").metrics["auc"]["value"]
        told, before = half.growth.fitted[-1], half.metrics["auc"]["value"]
        found.append((told["value"] - whole, before - whole, told["low"] <= whole <= told["high"]))
        print(
            f"{label}: {before:.3f}, expected {told['value']:.3f} ({told['low']:.3f} to "
            f"{told['high']:.3f}), found {whole:.3f}",
            flush=True,
        )
    return found


def shuffled(folder: Path, case: Case, n: int, draws: int) -> list[str]:
    """What is said of labels dealt out at random, group by group."""
    images, said = load(folder, case.image_set), []
    for seed in range(draws):
        rng = np.random.default_rng([n, seed, 8])
        drawn = draw(images, case, n, rng)
        if drawn is None:
            continue
        names, group = np.unique(drawn.groups, return_inverse=True)
        dealt = rng.permutation(np.resize(np.unique(drawn.labels), len(names)))[group]
        growth = replace(drawn, labels=dealt).card(np.arange(len(drawn)), seed).growth
        said.append(growth.state if growth else "fast")
    return said


def summary(found: list[tuple[float, float, bool]]) -> str:
    if not found:
        return "no curves"
    misses, lazy, held = (np.array(each) for each in zip(*found, strict=True))
    return (
        f"{len(found)} curves: within {CLOSE} in {np.mean(np.abs(misses) <= CLOSE):.2f} "
        f'("no change": {np.mean(np.abs(lazy) <= CLOSE):.2f}), '
        f"mean miss {np.abs(misses).mean():.3f} "
        f"({np.abs(lazy).mean():.3f}), bias {misses.mean():+.4f} ({lazy.mean():+.4f}), "
        f"band held in {held.mean():.2f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--vectors", type=Path, required=True)
    parser.add_argument("--sizes", type=int, nargs="+", default=[100, 200, 400])
    parser.add_argument("--draws", type=int, default=2)
    given = parser.parse_args()
    cases = cases_in(given.vectors)
    lines, everything, said = [], [], []
    for n in given.sizes:
        found = [one for c in cases for one in back_tests(given.vectors, c, n, given.draws)]
        lines.append(f"{n} images, " + summary(found))
        everything += found
        said += [one for c in cases for one in shuffled(given.vectors, c, n, given.draws)]
    if not said:
        parser.exit(1, f"No set has enough images for --sizes {' '.join(map(str, given.sizes))}.\n")
    print("\n" + "\n".join([*lines, f"all, {summary(everything)}"]))
    print("labels at random: " + ", ".join(f"{s} {said.count(s)}" for s in sorted(set(said))))


if __name__ == "__main__":
    main()
