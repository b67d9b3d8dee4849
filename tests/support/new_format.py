"""Learns the tiny head that `tests/classifiers/formats/` keeps of the present format.

    PYTHONPATH=. python tests/support/new_format.py

For a format that is not released yet: a released one's folder is never written again.
"""

import json
from pathlib import Path

import numpy as np

from classifiers.card import FORMAT
from classifiers.labels import LabelSet
from classifiers.recipe import Recipe
from classifiers.training import learn

HERE = Path(__file__).parents[1] / "classifiers" / "formats"
PER_CLASS = 6
CLASSES = ("cat", "dog")
BLOCKS = [("penultimate", 0, 4), ("stage1", 4, 6)]
ASKED = 3


def main() -> None:
    """Writes the folder of the present format."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(len(CLASSES) * PER_CLASS, 6)).astype(np.float32)
    X[PER_CLASS:, :2] += 4
    labels = tuple(label for label in CLASSES for _ in range(PER_CLASS))
    head = learn(
        X,
        LabelSet(tuple(f"{row:064x}" for row in range(len(X))), labels),
        name="tiny",
        space_id="0123456789abcdef",
        blocks=BLOCKS,
        recipe=Recipe(rounds=3, folds=2, repeats=1),
        author="nobody",
        allow_no_signal=True,
        created="2026-01-01T00:00:00Z",
    )
    asked = X[:: len(X) // ASKED]
    expected = {
        "classes": list(head.classes),
        "X": asked.tolist(),
        "raw": head.raw(asked).tolist(),
    }
    folder = HERE / str(FORMAT)
    folder.mkdir(exist_ok=True)
    for name, data in head.to_files().items():
        (folder / name).write_bytes(data)
    (folder / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")


if __name__ == "__main__":
    main()
