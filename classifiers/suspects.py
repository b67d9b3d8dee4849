"""Which labels a head's out-of-fold answers contradict, worst first. Knows rows, not images.

Confident learning (Northcutt, Jiang and Chuang 2021) in its simplest form: a head that has not
seen an image says how likely each class is; a label that it finds unlikely is looked at first.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from classifiers.labels import LabelSet


@dataclass(frozen=True, slots=True)
class Suspect:
    """One label in doubt.

    Args:
        row: of the out-of-fold answers.
        likely: number of the class that is likelier than the label's.
        score: probability of the label, from 0 to 1; lower is more suspect.
    """

    row: int
    likely: int
    score: float


def find_suspects(probabilities: npt.ArrayLike, labels: npt.ArrayLike) -> list[Suspect]:
    """Return the labels that the answers contradict, most suspect first.

    An answer contradicts a label if another class is likelier. Ties keep the order of rows.

    Args:
        probabilities: (n_images, n_classes), of models that had not seen the image.
        labels: (n_images,), class numbers.
    """
    p = np.asarray(probabilities, np.float64)
    score = p[np.arange(len(p)), np.asarray(labels)]
    likely = p.argmax(axis=1)
    contradicted = np.flatnonzero(p.max(axis=1) > score)
    order = contradicted[np.argsort(score[contradicted], kind="stable")]
    return [Suspect(row, int(likely[row]), float(score[row])) for row in order.tolist()]


def rows_of(label_set: LabelSet) -> dict[str, int]:
    """Return the row of each image in the out-of-fold answers of a head that learnt from these.

    Images that the official split keeps aside have none.
    """
    train = {d for i, d in enumerate(label_set.digests) if not label_set.is_test(i)}
    return {digest: row for row, digest in enumerate(sorted(train))}
