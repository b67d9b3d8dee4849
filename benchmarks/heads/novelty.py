"""How often images of another kind are told from a head's own, and its own are not.

    python benchmarks/heads/vectors.py --images IMAGES --out DIR
    python benchmarks/heads/novelty.py --vectors DIR [--sizes 60 150 300] [--draws 12]

Half of the groups of a set are learnt from, the other half are its own unseen images; every other
set is foreign. Each class of MedNIST is a set of its own, for nothing but that is one kind. Printed
are, for several numbers of directions: the AUC of distances, foreign against own, its mean and that
of the worst pair of sets; the share of foreign images that are called unlike; and the share of own
ones that are, which should be 0.05, its mean and that of the worst set. Sets that are not there are
skipped; two kinds at least are needed, one of them with twice as many images as are learnt from.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from cases import load
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from classifiers import novelty

SETS = ("kermany_cxr", "idc_breast", "trashnet", "hymenoptera")
OF_KINDS = "mednist"
DIRECTIONS = (0, 4, 8, 16, 32)
LEVEL = 0.05
OWN, FOREIGN = 400, 200
DIM = 1280

TOO_FEW = "Images of at least two kinds are needed: one learns, the others are foreign."

Float32 = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Kind:
    """Images of one kind; units: float32 (n_images, dim), rows of length 1."""

    units: Float32
    groups: NDArray[np.str_]


def kinds(folder: Path) -> dict[str, Kind]:
    found = {}
    for name in (*SETS, OF_KINDS):
        if not (folder / f"{name}.npz").exists():
            continue
        images = load(folder, name)
        units = novelty.unit_rows(images.X[:, :DIM])
        if name != OF_KINDS:
            found[name] = Kind(units, images.groups)
            continue
        for label in np.unique(images.labels):
            own = images.labels == label
            found[f"{name} {label}"] = Kind(units[own], images.groups[own])
    return found


def learn(kind: Kind, n: int, rng: np.random.Generator) -> tuple[novelty.Novelty, Float32]:
    """Learn from n images; return that, and images of other groups."""
    names = rng.permutation(np.unique(kind.groups))
    inside = np.isin(kind.groups, names[: len(names) // 2])
    rows = rng.permutation(np.flatnonzero(inside))[:n]
    _, groups = np.unique(kind.groups[rows], return_inverse=True)
    unseen = rng.permutation(np.flatnonzero(~inside))[:OWN]
    return novelty.fit_novelty(kind.units[rows], groups), kind.units[unseen]


def measure(all_kinds: dict[str, Kind], n: int, draws: int) -> list[float]:
    """Return the mean and the worst AUC, the share found, and the mean and the worst of alarms."""
    aucs: dict[tuple[str, str], list[float]] = {}
    alarms: dict[str, list[float]] = {}
    found = []
    for name, kind in all_kinds.items():
        if len(kind.units) < 2 * n:
            continue
        for seed in range(draws):
            rng = np.random.default_rng([n, seed])
            model, unseen = learn(kind, n, rng)
            own = model.distance(unseen)
            alarms.setdefault(name, []).append(float((model.p_value(unseen) <= LEVEL).mean()))
            for other in all_kinds.keys() - {name}:
                units = all_kinds[other].units
                foreign = units[rng.permutation(len(units))[:FOREIGN]]
                truth = np.r_[np.zeros(len(own)), np.ones(len(foreign))]
                scores = np.r_[own, model.distance(foreign)]
                aucs.setdefault((name, other), []).append(roc_auc_score(truth, scores))
                found.append(float((model.p_value(foreign) <= LEVEL).mean()))
    of_pairs = [float(np.mean(values)) for values in aucs.values()]
    of_sets = [float(np.mean(values)) for values in alarms.values()]
    worst = max(of_sets, key=lambda share: abs(share - LEVEL))
    means = [float(np.mean(values)) for values in (of_pairs, found, of_sets)]
    return [means[0], min(of_pairs), *means[1:], worst]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--vectors", type=Path, required=True)
    parser.add_argument("--sizes", type=int, nargs="+", default=[60, 150, 300])
    parser.add_argument("--draws", type=int, default=12)
    given = parser.parse_args()
    there = kinds(given.vectors)
    if len(there) < 2:
        parser.exit(1, f"{TOO_FEW} In {given.vectors}: {', '.join(there) or 'none'}.\n")
    most = max(len(kind.units) for kind in there.values()) // 2
    sizes = [n for n in given.sizes if n <= most]
    if not sizes:
        parser.exit(1, f"No kind has enough images: --sizes can be up to {most} here.\n")
    if len(sizes) < len(given.sizes):
        print(f"Left out are sizes above {most}: no kind has twice as many images.\n")
    print("| images | directions | AUC | worst pair | foreign found | own alarms | worst set |")
    print("|--:|--:|--:|--:|--:|--:|--:|")
    for n in sizes:
        for directions in DIRECTIONS:
            novelty.MAX_DIRECTIONS = directions
            auc, worst, found, alarms, furthest = measure(there, n, given.draws)
            print(
                f"| {n} | {directions} | {auc:.4f} | {worst:.3f} | {found:.3f} "
                f"| {alarms:.3f} | {furthest:.3f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
