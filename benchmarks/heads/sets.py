"""How often prediction sets hold the truth of images of groups that the head has not seen.

`PYTHONPATH=. python benchmarks/heads/sets.py --vectors VECTORS [--draws 5]`: VECTORS as of
`vectors.py`. Printed are the share of truths in their sets, the band that cards state, as the mean
of its ends, the shares of heads that kept within their own band and that fell below it, how many
labels a set has, and the share of sets without any.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from cases import all_draws
from ours import fit

if TYPE_CHECKING:
    from cases import Draw


def measure(d: Draw, seed: int) -> list[float]:
    """Truths held, both ends of the band, whether within, whether below, labels in a set, none."""
    head = fit(d.X, d.y, d.groups, seed).head
    rule = head.card.sets
    members = rule.members(head.answers(d.X_test))
    held = float(members[np.arange(len(d.y_test)), d.y_test].mean())
    size = members.sum(axis=1)
    within = rule.low <= held <= rule.high
    return [held, rule.low, rule.high, within, held < rule.low, size.mean(), (size == 0).mean()]


def main() -> None:
    """Print a table: a row for each set and size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vectors", type=Path, required=True)
    parser.add_argument("--draws", type=int, default=5)
    given = parser.parse_args()
    found: dict[tuple[str, int], list[list[float]]] = defaultdict(list)
    for case, per_class, seed, d in all_draws(given.vectors, given.draws):
        found[case.image_set, per_class].append(measure(d, seed))
    print("| set | of a class | truth in its set | band | heads within | below | labels | none |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|")
    for (name, per_class), rows in found.items():
        held, low, high, within, below, size, none = np.mean(rows, axis=0)
        print(f"| {name} | {per_class} | {held:.3f} | {low:.2f} to {high:.2f} | ", end="")
        print(f"{within:.2f} | {below:.2f} | {size:.2f} | {none:.2f} |")


if __name__ == "__main__":
    main()
