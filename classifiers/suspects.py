"""Which labels a head's out-of-fold answers contradict, worst first. Knows rows, not images.

Confident learning (Northcutt, Jiang and Chuang 2021) in its simplest form: a head that has not
seen an image says how likely each class is; a label that it finds unlikely is looked at first.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Suspect:
    """One label in doubt.

    Args:
        row: of the probabilities that it was found in.
        likely: number of the class that is likelier than the label's.
        score: as `label_scores` gives it, under one half; lower is more suspect.
    """

    row: int
    likely: int
    score: float


def label_scores(probabilities: npt.ArrayLike, labels: npt.ArrayLike) -> Float64:
    """Return how well each label agrees with the answers: float64 (n_images,), from 0 to 1.

    It is the normalised margin (1 + p(label) - the largest p of another class) / 2. Under one half
    another class is likelier than the label. With two classes it is p(label) itself.

    Args:
        probabilities: (n_images, n_classes), of models that had not seen the image.
        labels: (n_images,), class numbers.
    """
    p = np.asarray(probabilities, np.float64)
    own, other = _own_and_other(p, np.asarray(labels))
    return np.clip((1 + own - p[np.arange(len(p)), other]) / 2, 0.0, 1.0)


def find_suspects(probabilities: npt.ArrayLike, labels: npt.ArrayLike) -> list[Suspect]:
    """Return the labels that the answers contradict, most suspect first.

    Args:
        probabilities: (n_images, n_classes), of models that had not seen the image.
        labels: (n_images,), class numbers.
    """
    p = np.asarray(probabilities, np.float64)
    scores = label_scores(p, labels)
    _, other = _own_and_other(p, np.asarray(labels))
    order = np.argsort(scores, kind="stable").tolist()
    return [Suspect(i, int(other[i]), float(scores[i])) for i in order if scores[i] < 0.5]  # noqa: PLR2004  where another class is as likely


def _own_and_other(
    p: Float64, labels: npt.NDArray[np.integer]
) -> tuple[Float64, npt.NDArray[np.int64]]:
    """Return p of each label, and the number of the likeliest other class."""
    rows = np.arange(len(p))
    rest = p.copy()
    rest[rows, labels] = -np.inf
    return p[rows, labels], rest.argmax(axis=1)
