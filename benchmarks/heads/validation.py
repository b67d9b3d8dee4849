"""What `heads validate` says of images of the learnt kind, where "worse" would be a false alarm.

`PYTHONPATH=. python benchmarks/heads/validation.py --vectors VECTORS [--draws 5]`: VECTORS as of
`vectors.py`. Each head is tried on a few images of the half of the groups that it has not seen, and
on the same with half of the truths dealt out anew, where "worse" is right.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from cases import all_draws
from ours import fit

from classifiers import LabelSet
from classifiers.validation import validate

if TYPE_CHECKING:
    from cases import Draw

    from classifiers.validation import Validation

PER_CLASS = 60


def measure(d: Draw, seed: int) -> list[float]:
    """Whether it is called worse or without knowledge, share in sets; the same if it is worse."""
    head = fit(d.X, d.y, d.groups, seed).head
    rng = np.random.default_rng(seed)
    classes = np.unique(d.y_test)
    rows = np.concatenate(
        [rng.permutation(np.flatnonzero(d.y_test == c))[:PER_CLASS] for c in classes]
    )
    mixed = d.y_test[rows].copy()
    dealt = rng.permutation(len(rows))[: len(rows) // 2]
    mixed[dealt] = rng.permutation(mixed[dealt])
    figures: list[float] = []
    for y in (d.y_test[rows], mixed):
        labels = LabelSet(
            tuple(f"{row:064x}" for row in rows.tolist()),
            tuple(f"{label:03d}" for label in y.tolist()),
            tuple(d.groups_test[rows].tolist()),
        )
        found = validate(head, d.X_test[rows], labels, d.X)
        figures += _figures(found)
    return figures


def _figures(found: Validation | None) -> list[float]:
    assert found is not None
    worse = found.change is not None and found.change["high"] < 0
    return [float(worse), float(found.words.startswith("Nothing")), found.held["value"]]


def main() -> None:
    """Print a table: a row for each set and size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vectors", type=Path, required=True)
    parser.add_argument("--draws", type=int, default=5)
    given = parser.parse_args()
    found: dict[tuple[str, int], list[list[float]]] = defaultdict(list)
    for case, per_class, seed, d in all_draws(given.vectors, given.draws):
        found[case.image_set, per_class].append(measure(d, seed))
    print("| set | of a class | called worse | knows nothing | truth in its set | ", end="")
    print("called worse, half the truths dealt anew | truth in its set |")
    print("|---|--:|--:|--:|--:|--:|--:|")
    for (name, per_class), rows in found.items():
        worse, nothing, held, truly, _, missed = np.mean(rows, axis=0)
        print(f"| {name} | {per_class} | {worse:.3f} | {nothing:.3f} | {held:.3f} | ", end="")
        print(f"{truly:.3f} | {missed:.3f} |")


if __name__ == "__main__":
    main()
