"""What heads say of themselves where labels mean nothing: their figures, and whether they know it.

    python benchmarks/heads/vectors.py --images IMAGES --out DIR
    python benchmarks/heads/chance.py --vectors DIR [--sizes 20 60] [--runs 100] [--report fast]

Of each image set so many images are drawn again and again, and labels dealt out to them at random:
two classes, or numbers; to single images, or to whole groups where groups are known. Printed is the
mean AUC or rank correlation, which should be chance (0.5 or 0), how far the mean of so many runs
lies off by chance alone, and how many of the 95 % intervals hold it. Sets that are not there are
skipped.
"""

from __future__ import annotations

import argparse
import zlib
from pathlib import Path

import numpy as np
from cases import Case, ImageSet, cases_in, load
from learning_curve import Drawn, draw
from numpy.typing import NDArray
from ours import layout

from classifiers.errors import ClassifierError
from classifiers.labels import LabelSet
from classifiers.recipe import Recipe
from classifiers.statistics import Measure
from classifiers.training import assess

CHANCE = {"auc": 0.5, "spearman": 0.0}


def deal(units: NDArray[np.int64], what: str, rng: np.random.Generator) -> tuple[str, ...]:
    """Labels without meaning, the same for all of a unit."""
    n = int(units.max()) + 1
    if what == "auc":
        return tuple(f"c{label}" for label in rng.permutation(np.arange(n) % 2)[units])
    return tuple(f"{number:.6f}" for number in rng.standard_normal(n)[units])


def measured(drawn: Drawn, what: str, seed: int, report: str, *, whole: bool) -> Measure | None:
    """The figure of one deal; None where nothing can be learnt from it."""
    rng = np.random.default_rng([seed, whole])
    _, groups = np.unique(drawn.groups, return_inverse=True)
    units = groups if whole else np.arange(len(drawn))
    digests = tuple(f"{row:064x}" for row in range(len(drawn)))
    known = tuple(drawn.groups.tolist()) if whole else None
    try:
        found = assess(
            drawn.X,
            LabelSet(digests, deal(units, what, rng), known),
            blocks=layout(),
            recipe=Recipe(seed=seed, report=report),
        )
    except ClassifierError:
        return None
    return found.metrics.get(what)


def rows(images: ImageSet, case: Case, n: int, runs: int, report: str) -> None:
    """Print what was found with one set and size."""
    seeds = [zlib.crc32(f"{case.image_set} {n} {run}".encode()) for run in range(runs)]
    draws = [draw(images, case, n, np.random.default_rng(seed)) for seed in seeds]
    known = [one for one in draws if one is not None]
    if not known:
        return
    grouped = len(set(known[0].groups)) < len(known[0])
    for what, chance in CHANCE.items():
        for whole in (False, True) if grouped else (False,):
            said = [
                measured(drawn, what, seed % 2**31, report, whole=whole)
                for seed, drawn in zip(seeds, draws, strict=True)
                if drawn is not None
            ]
            found = [one for one in said if one is not None]
            if len(found) < runs / 2:  # too few groups for numbers of their own
                continue
            values = [one["value"] for one in found]
            held = np.mean([one["low"] <= chance <= one["high"] for one in found])
            off = np.std(values) / np.sqrt(len(values))
            to = "groups" if whole else "images"
            print(
                f"| {case.image_set} | {n} | {what} | {to} | {len(found)} "
                f"| {np.mean(values):.3f} ± {off:.3f} | {held:.2f} |",
                flush=True,
            )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--vectors", type=Path, required=True)
    parser.add_argument("--sizes", type=int, nargs="+", default=[20, 60])
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--report", choices=["full", "fast"], default="fast")
    given = parser.parse_args()
    print("| images of | images | figure | dealt to | runs | mean | intervals that hold chance |")
    print("|---|--:|---|---|--:|--:|--:|")
    first: dict[str, Case] = {}
    for case in cases_in(given.vectors):
        first.setdefault(case.image_set, case)
    for image_set, case in first.items():
        images = load(given.vectors, image_set)
        for n in given.sizes:
            rows(images, case, n, given.runs, given.report)


if __name__ == "__main__":
    main()
