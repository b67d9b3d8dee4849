"""How often the permutation test calls signal, where there is none and where there is some.

    python benchmarks/heads/vectors.py --images IMAGES --out DIR
    python benchmarks/heads/permutation.py --vectors DIR [--sizes 20 60 200] [--runs 100]

For each case and size, so many images are drawn again and again. Their labels are the true ones;
or dealt out at random to single images; or to whole groups. Where labels mean nothing, 5 % of
the runs may have a p-value of 0.05 or less. Sets that are not there are skipped.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from cases import cases_in, load
from learning_curve import Drawn, draw
from numpy.typing import NDArray
from ours import layout

from classifiers.blocks import Scaling, choose_blocks
from classifiers.parallel import one_blas_thread
from classifiers.parts import STAGES, linear_parts
from classifiers.permutation import permutation_p

DEALS = 99
LEVEL = 0.05

IntArray = NDArray[np.int64]


def views(drawn: Drawn) -> list[NDArray[np.float64]]:
    """What the stand-ins of a head look at."""
    scaling = Scaling(choose_blocks(layout(), ("all",)), "l2")
    Z = scaling.scale(drawn.X)
    parts = linear_parts(Z - Z.mean(axis=0, dtype=np.float64), scaling.blocks)
    return [parts[name].reduced.rows for name in (scaling.blocks[0].name, STAGES)]


def p_values(drawn: Drawn, seed: int) -> list[float]:
    """Of true labels, of labels dealt to images, and of labels dealt to groups."""
    rng = np.random.default_rng(seed)
    _, y = np.unique(drawn.labels, return_inverse=True)
    _, groups = np.unique(drawn.groups, return_inverse=True)
    alone = np.arange(len(y))
    own = rng.permutation(np.arange(groups.max() + 1) % (y.max() + 1))[groups]
    seen = views(drawn)

    def p(labels: IntArray, together: IntArray) -> float:
        targets = np.eye(y.max() + 1)[labels]
        return permutation_p(seen, targets, together, squared=False, permutations=DEALS, seed=seed)

    return [p(y, groups), p(rng.permutation(y), alone), p(own, groups)]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--vectors", type=Path, required=True)
    parser.add_argument("--sizes", type=int, nargs="+", default=[20, 60, 200])
    parser.add_argument("--runs", type=int, default=100)
    given = parser.parse_args()
    print("| images of | case | images | runs | true | dealt to images | dealt to groups |")
    print("|---|---|--:|--:|--:|--:|--:|")
    for case in cases_in(given.vectors):
        images = load(given.vectors, case.image_set)
        for n in given.sizes:
            draws = (
                draw(images, case, n, np.random.default_rng([n, r])) for r in range(given.runs)
            )
            found = [p_values(drawn, r) for r, drawn in enumerate(draws) if drawn is not None]
            if found:
                small = (np.array(found) <= LEVEL).mean(axis=0)
                shares = " | ".join(f"{share:.2f}" for share in small)
                what = f"{case.image_set} | {case.name} | {n} | {len(found)}"
                print(f"| {what} | {shares} |", flush=True)


if __name__ == "__main__":
    with one_blas_thread():
        main()
