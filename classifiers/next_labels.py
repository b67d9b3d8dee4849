"""Which images to label next, from what a head says of them. Knows vectors and probabilities.

An image is worth a label where the head hesitates and nothing like it is labelled yet: uncertainty
sampling by margin (Scheffer, Decomain and Wrobel 2001), spread by the distance to what is known or
already listed (Sener and Savarese 2018), multiplied. docs/explanation/what-to-label-next.md
compares it with each of the two alone and with others.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from classifiers.tasks import Question

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]

_AT_ONCE = 1024


@dataclass(frozen=True, slots=True)
class Candidate:
    """One image to label.

    Attributes:
        row: of the unlabelled images.
        score: `hesitation` times `distance`; higher is more worth a label.
        hesitation: 1 less the margin of the likeliest class over the next, 0 to 1.
        distance: between directions, to the nearest image that is labelled or listed before it;
            0 to 2.
    """

    row: int
    score: float
    hesitation: float
    distance: float


def rank_candidates(
    units: Float32, probabilities: Float64, labelled: Float32, limit: int
) -> list[Candidate]:
    """Return unlabelled images, the one most worth a label first.

    Each image is chosen with those before it in mind, so that the first few are different from each
    other; a shorter list is the beginning of a longer one. Ties keep the order of rows.

    Args:
        units: float32 (n_unlabelled, dim), rows of length 1.
        probabilities: float64 (n_unlabelled, n_choices), rows sum to 1.
        labelled: float32 (n_labelled, dim), rows of length 1.
        limit: how many at most.
    """
    hesitation = _hesitation(probabilities)
    distance = _distance(units, labelled)
    left = np.ones(len(units), bool)
    found: list[Candidate] = []
    for _ in range(min(limit, len(units))):
        score = np.where(left, hesitation * distance, -1.0)
        row = int(score.argmax())
        left[row] = False
        found.append(
            Candidate(row, float(score[row]), float(hesitation[row]), float(distance[row]))
        )
        distance = np.minimum(distance, _apart(units @ units[row]))
    return found


def choices(answers: Float64, question: Question) -> Float64:
    """Return what a head hesitates between: float64 (n_images, n_choices), rows sum to 1.

    Of several labels, whether an image has the one that is least sure. A number says nothing of
    how sure it is: all images alike, and their distance alone decides.
    """
    if question.exclusive:
        return answers
    if question.is_number:
        return np.full((len(answers), 2), 0.5)
    least_sure = np.abs(answers - 0.5).argmin(axis=1)
    yes = answers[np.arange(len(answers)), least_sure]
    return np.stack([yes, 1 - yes], axis=1)


def _hesitation(probabilities: Float64) -> Float64:
    ascending = np.sort(probabilities, axis=1)
    return np.asarray(1 - (ascending[:, -1] - ascending[:, -2]))


def _distance(units: Float32, labelled: Float32) -> Float64:
    """Distance to the nearest labelled image; the same for all where none is labelled."""
    distance = np.full(len(units), 2.0)
    if len(labelled):
        for start in range(0, len(units), _AT_ONCE):
            part = slice(start, start + _AT_ONCE)
            distance[part] = _apart((units[part] @ labelled.T).max(axis=1))
    return distance


def _apart(cosines: Float32) -> Float64:
    """Return the Euclidean distance of vectors of length 1."""
    return np.asarray(np.sqrt((2 - 2 * cosines.astype(np.float64)).clip(0)))
