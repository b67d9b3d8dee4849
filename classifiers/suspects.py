"""Which labels a head's out-of-fold answers contradict, worst first. Knows rows, not images.

Confident learning (Northcutt, Jiang and Chuang 2021) in its simplest form: a head that has not
seen an image says how likely each class is; a label that it finds unlikely is looked at first.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from classifiers.labels import LabelSet
from classifiers.tasks import Question

Float64 = npt.NDArray[np.float64]

FAR_OFF = 0.1
"""Share of the numbers that are looked at: those from which the answers were furthest."""


@dataclass(frozen=True, slots=True)
class Suspect:
    """One label in doubt.

    Args:
        row: of the out-of-fold answers.
        likely: what the answer says in its place, written as labels are.
        score: from 0 to 1; lower is more suspect. Probability of the label; of several labels, of
            the one of them (had or not) that is contradicted most; of a number, the share of images
            whose answers were off at least as far.
    """

    row: int
    likely: str
    score: float


def find_suspects(
    answers: npt.ArrayLike, truth: npt.ArrayLike, question: Question
) -> list[Suspect]:
    """Return the labels that the answers contradict, most suspect first.

    An answer contradicts a label if another class is likelier; one of several labels if its
    opposite is likelier; a number if it is among the tenth that is furthest off. Ties keep the
    order of rows.

    Args:
        answers: (n_images, n_answers), of models that had not seen the image.
        truth: (n_images, n_outputs), what each output should have said.
        question: what was asked.
    """
    found = np.asarray(answers, np.float64)
    if not len(found):
        return []
    score, contradicted = _scores(found, np.asarray(truth, np.float64), question)
    rows = np.flatnonzero(contradicted)
    order = rows[np.argsort(score[rows], kind="stable")]
    return [
        Suspect(row, question.label_of(found[row].tolist()), float(score[row]))
        for row in order.tolist()
    ]


def _scores(
    answers: Float64, truth: Float64, question: Question
) -> tuple[Float64, npt.NDArray[np.bool_]]:
    if question.is_number:
        off = np.abs(answers[:, 0] - truth[:, 0])
        nearer = np.searchsorted(np.sort(off), off, side="left")
        score = 1 - nearer / len(off)
        return score, score <= FAR_OFF
    if question.exclusive:
        score = answers[np.arange(len(answers)), question.numbers(truth)]
        return score, answers.max(axis=1) > score
    score = np.where(truth > 0, answers, 1 - answers).min(axis=1)
    return score, score < 1 / 2


def rows_of(label_set: LabelSet) -> dict[str, int]:
    """Return the row of each image in the out-of-fold answers of a head that learnt from these.

    Images that the official split keeps aside have none.
    """
    train = {d for i, d in enumerate(label_set.digests) if not label_set.is_test(i)}
    return {digest: row for row, digest in enumerate(sorted(train))}
