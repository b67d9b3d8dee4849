"""Makes the first real head as fast as the second. Knows nothing of who needs it."""

import numpy as np

from classifiers.labels import LabelSet
from classifiers.recipe import Recipe
from classifiers.training import learn

PER_CLASS, DIM = 40, 4


def warm_up() -> None:
    """Learn a tiny head and forget it: every library that learning needs is loaded then."""
    labels = ("no", "yes") * PER_CLASS
    X = np.random.default_rng(0).standard_normal((len(labels), DIM)).astype(np.float32)
    X[1::2] += 2
    learn(
        X,
        LabelSet(tuple(f"{row:064x}" for row in range(len(labels))), labels),
        name="warming",
        space_id="none",
        blocks=[("penultimate", 0, DIM)],
        recipe=Recipe(rounds=1, repeats=1),
        allow_no_signal=True,
    )
