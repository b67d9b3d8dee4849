"""The product's own head as a method of `run.py`: `--ours benchmarks/heads/ours.py:fit`."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from classifiers import Head, LabelSet, Recipe, learn

STAGES = (("stage3", 80), ("stage4", 112), ("stage5", 192), ("stage6", 320))
DIM = 1280


def layout() -> list[tuple[str, int, int]]:
    """Columns of the default backbone: the penultimate vector, then means and deviations."""
    blocks = [("penultimate", 0, DIM)]
    start = DIM
    for name, channels in STAGES:
        for statistic in ("mean", "std"):
            blocks.append((f"{name}.{statistic}", start, start + channels))
            start += channels
    return blocks


@dataclass(frozen=True)
class Fitted:
    """A head under the names that the benchmark calls."""

    head: Head

    def raw(self, X: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """Log-probabilities, float64 (n, n_classes); of two classes the log-odds, (n, 1)."""
        p = np.log(np.maximum(self.head.answers(np.asarray(X, np.float32)), 1e-300))
        return p[:, 1:] - p[:, :1] if p.shape[1] == 2 else p


def fit(
    X: npt.NDArray[np.float32],
    y: npt.NDArray[np.int64],
    groups: npt.NDArray[np.generic] | None = None,
    seed: int = 0,
) -> Fitted:
    """Learn a head as the service does, one repeat of the evaluation being enough here."""
    label_set = LabelSet(
        digests=tuple(f"{row:064x}" for row in range(len(y))),
        labels=tuple(f"{label:03d}" for label in np.asarray(y).tolist()),
        groups=None if groups is None else tuple(map(str, np.asarray(groups).tolist())),
    )
    head = learn(
        np.asarray(X, np.float32),
        label_set,
        name="benchmark",
        space_id="benchmark",
        blocks=layout(),
        recipe=Recipe(seed=seed, repeats=1),
        allow_no_signal=True,
    )
    return Fitted(head)
