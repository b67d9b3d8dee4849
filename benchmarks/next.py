"""How many labels it takes when the next images to label are chosen, and when they are drawn.

    python benchmarks/next.py [--data DIR] [--draws 3] [--per-class 400]

Half of each set, whole groups of it, is kept aside; the other half is a pool of images without
labels. 20 of them, drawn by lot, are labelled; then 10 at a time, until 100 are, chosen in several
ways from what a head says of the pool. After each step the head is asked about the half kept aside.
The head is an L2 logistic regression on embeddings of length 1, the plainest part of a real one, so
that thousands of heads can be learnt. Printed are the AUC after 100 labels, and the labels after
which a way has reached what 100 images drawn by lot reach. Sets that are not there are skipped.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from suspects import SETS, load

from classifiers.next_labels import rank_candidates
from classifiers.novelty import unit_rows
from features.embedder import Embedder
from features.engine import open_engine

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Rows = NDArray[np.int64]
Choose = Callable[[Float32, Float64, Float32, np.random.Generator], list[int]]

FIRST, BATCH, LAST = 20, 10, 100
CASES: dict[str, tuple[str, str | None]] = {
    "hymenoptera": ("hymenoptera", None),
    "trashnet": ("trashnet", None),
    "kermany_cxr": ("kermany_cxr", None),
    "kermany_cxr, 1 in 10 normal": ("kermany_cxr", "normal"),
    "idc_breast": ("idc_breast", None),
}


def by_lot(X: Float32, _p: Float64, _known: Float32, rng: np.random.Generator) -> list[int]:
    drawn: list[int] = rng.permutation(len(X))[:BATCH].tolist()
    return drawn


def as_listed(X: Float32, p: Float64, known: Float32, _: np.random.Generator) -> list[int]:
    return [one.row for one in rank_candidates(X, p, known, BATCH)]


def by_margin(_X: Float32, p: Float64, _known: Float32, _: np.random.Generator) -> list[int]:
    ascending = np.sort(p, axis=1)
    nearest: list[int] = np.argsort(ascending[:, -1] - ascending[:, -2], kind="stable").tolist()
    return nearest[:BATCH]


def by_distance(X: Float32, _p: Float64, known: Float32, _: np.random.Generator) -> list[int]:
    undecided = np.full((len(X), 2), 0.5)
    return [one.row for one in rank_candidates(X, undecided, known, BATCH)]


WAYS: dict[str, Choose] = {
    "by lot": by_lot,
    "as listed": as_listed,
    "margin alone": by_margin,
    "distance alone": by_distance,
}


def ask(X: Float32, y: Rows, asked: Float32, n_classes: int) -> Float64:
    """Learns from some images; what the head says of others: float64 (n_asked, n_classes)."""
    # The solution is a sum of the rows learnt from, so their span is all that counts.
    span = np.linalg.qr(X.T)[0]
    model = LogisticRegression(C=10, class_weight="balanced", max_iter=200).fit(X @ span, y)
    p = np.zeros((len(asked), n_classes))
    p[:, model.classes_] = model.predict_proba(asked @ span)
    return p


def area(p: Float64, y: Rows) -> float:
    if p.shape[1] == 2:
        return float(roc_auc_score(y, p[:, 1]))
    return float(roc_auc_score(y, p, multi_class="ovr"))


def start(y: Rows, n_classes: int, rng: np.random.Generator) -> list[int]:
    """Draws the first images, until there are two of each class at least."""
    while True:
        drawn = rng.choice(len(y), FIRST, replace=False)
        if np.bincount(y[drawn], minlength=n_classes).min() >= (2 if n_classes == 2 else 1):
            first: list[int] = drawn.tolist()
            return first


def one_draw(X: Float32, y: Rows, groups: Rows, seed: int, rare: int | None) -> dict[str, Float64]:
    """The AUC after each step, for every way of choosing."""
    rng = np.random.default_rng(seed)
    n_classes = int(y.max()) + 1
    names = rng.permutation(np.unique(groups))
    aside = np.isin(groups, names[: len(names) // 2])
    pool = np.flatnonzero(~aside)
    if rare is not None:
        common, few = pool[y[pool] != rare], pool[y[pool] == rare]
        pool = np.concatenate([common, rng.choice(few, len(common) // 9, replace=False)])
    P, truth = X[pool], y[pool]
    first = start(truth, n_classes, rng)
    curves: dict[str, Float64] = {}
    for way, choose in WAYS.items():
        known, steps = list(first), []
        lots = np.random.default_rng(seed)
        while True:
            rest = np.setdiff1d(np.arange(len(pool)), known)
            asked = np.concatenate([P[rest], X[aside]])
            p = ask(P[known], truth[known], asked, n_classes)
            steps.append(area(p[len(rest) :], y[aside]))
            if len(known) >= LAST:
                break
            known += rest[choose(P[rest], p[: len(rest)], P[known], lots)].tolist()
        curves[way] = np.array(steps)
    return curves


def report(case: str, draws: list[dict[str, Float64]]) -> None:
    mean = {way: np.mean([draw[way] for draw in draws], axis=0) for way in WAYS}
    target = mean["by lot"][-1]
    print(f"\n{case}: {mean['by lot'][0]:.3f} after {FIRST} labels\n")
    print(f"| | AUC after {LAST} labels | labels for {target:.3f} |\n|---|--:|--:|")
    for way, steps in mean.items():
        reached = np.flatnonzero(steps >= target)
        needed = str(FIRST + BATCH * int(reached[0])) if reached.size else f"more than {LAST}"
        print(f"| {way} | {steps[-1]:.3f} | {needed} |")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    here = Path(__file__).resolve().parents[1]
    parser.add_argument("--data", type=Path, default=here.parent / "shared" / "data")
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--per-class", type=int, default=400)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as cache:
        engine = open_engine("efficientnet_lite0", cache=Path(cache))
        embedder = Embedder(engine)
        for case, (name, rare) in CASES.items():
            if not (given.data / name).is_dir():
                print(f"{case}: skipped, {given.data / name} is not here")
                continue
            images = load(given.data / name, SETS[name], embedder, given.per_class)
            classes, y = np.unique(images.labels, return_inverse=True)
            known = [group or f"image {row}" for row, group in enumerate(images.groups)]
            groups = np.unique(known, return_inverse=True)[1]
            number = classes.tolist().index(rare) if rare is not None else None
            X = unit_rows(images.X[:, : engine.space.dim])
            report(case, [one_draw(X, y, groups, seed, number) for seed in range(given.draws)])
        embedder.close()
        engine.close()


if __name__ == "__main__":
    main()
