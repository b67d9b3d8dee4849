"""What the doubt that every probability keeps is worth: log loss and calibration error, held out.

`PYTHONPATH=. python benchmarks/heads/doubt.py --vectors VECTORS [--draws 3]`: VECTORS as of
`vectors.py`. Each head is asked about the half of the groups that it has not seen; beside its
answers stand the same without their share of an even guess.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from cases import all_draws
from ours import fit

from classifiers.calibration import calibration_error, log_loss

if TYPE_CHECKING:
    from cases import Draw
    from numpy.typing import NDArray


def measure(d: Draw, seed: int) -> list[float]:
    """Log loss without and with the doubt, calibration error without and with."""
    head = fit(d.X, d.y, d.groups, seed).head
    said = head.answers(d.X_test)
    doubt = head.card.doubt
    bare: NDArray[np.float64] = (said - doubt / said.shape[1]) / (1 - doubt)
    both = (np.clip(bare, 0, 1), said)
    return [figure(p, d.y_test) for figure in (log_loss, calibration_error) for p in both]


def main() -> None:
    """Print a table: a row for each set and size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vectors", type=Path, required=True)
    parser.add_argument("--draws", type=int, default=3)
    given = parser.parse_args()
    found: dict[tuple[str, int], list[list[float]]] = defaultdict(list)
    for case, per_class, seed, d in all_draws(given.vectors, given.draws):
        found[case.image_set, per_class].append(measure(d, seed))
    print("| set | of a class | log loss | with doubt | calibration error | with doubt |")
    print("|---|--:|--:|--:|--:|--:|")
    for (name, per_class), rows in found.items():
        figures = " | ".join(f"{figure:.3f}" for figure in np.mean(rows, axis=0))
        print(f"| {name} | {per_class} | {figures} |")


if __name__ == "__main__":
    main()
