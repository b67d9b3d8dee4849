"""Answers of cross-validation, and how much groups and shared images make their figures vary.

Knows no figure.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from classifiers.tasks import Question

Float64 = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Pass:
    """Every image scored once by a model that had not seen it.

    Attributes:
        fold: int64 (n_images,), which model scored the image.
        answers: float64 (n_images, n_answers), probabilities or the number.
    """

    fold: IntArray
    answers: Float64


@dataclass(frozen=True, slots=True)
class Scored:
    """Answers for images and what is needed to judge them.

    Attributes:
        question: what was asked.
        targets: float64 (n_images, n_outputs), the truth.
        groups: int64 (n_images,), images of one group are not independent.
        passes: repeats of the evaluation; one for a test set.
        sharing: what the variance is multiplied by because models share images; 1 for a test set.
    """

    question: Question
    targets: Float64
    groups: IntArray
    passes: tuple[Pass, ...]
    sharing: float = 1.0

    @property
    def grouped(self) -> bool:
        """Whether any group has two images."""
        return np.unique(self.groups).size < self.groups.size

    @property
    def sharing_of_groups(self) -> float:
        """As `sharing`, of a variance between groups that is one of means over the passes already.

        What the repeats are worth is in it then, and must not be taken off once more.
        """
        return self.sharing + (1 - 1 / len(self.passes) if self.grouped else 0)

    @property
    def most_inflation(self) -> float:
        """Twice what a variance is multiplied by if all images of a group are the same.

        More than that is no property of the groups, but of how few there are.
        """
        sizes = np.unique(self.groups, return_counts=True)[1]
        return 2 * self.sharing_of_groups * float(np.sum(sizes**2)) / self.groups.size

    @property
    def independent(self) -> float:
        """How many groups of one size would say as much (Kish 1965, Survey Sampling).

        Of unequal groups the large ones count for more, and there are fewer of those.
        """
        sizes = np.unique(self.groups, return_counts=True)[1]
        return float(sizes.sum() ** 2 / np.sum(sizes**2))

    @property
    def degrees(self) -> int:
        """Degrees of freedom: groups less what is told apart."""
        apart = len(np.unique(self.targets, axis=0)) if self.question.exclusive else 2
        return max(1, np.unique(self.groups).size - apart)


def cv_sharing(folds: int, repeats: int) -> float:
    """Return the variance factor of a repeated cross-validation (Nadeau and Bengio 2003)."""
    return 1 / repeats + folds / (folds - 1)


def inflation(scored: Scored, influence: Float64, spread: float, least: float) -> float:
    """Return what the variance of a figure is multiplied by for groups and shared images.

    Args:
        scored: what is judged.
        influence: float64 (n_images,), by how much each image moves the figure, the mean of all
            passes; it sums to zero within each fold.
        spread: the figure's variance if nothing was shared.
        least: smallest design effect, which is how much larger groups make it.
    """
    _, place = np.unique(scored.groups, return_inverse=True)
    summed = np.bincount(place, influence)
    found = float(np.sum(summed**2))
    if spread == 0 or found == 0:
        # Nothing went wrong, so nothing shows how alike a group's images are: take them as one.
        return scored.sharing * influence.size / summed.size
    apart = np.unique(scored.passes[0].fold).size if scored.grouped else 1
    found *= summed.size / max(1, summed.size - apart)
    return scored.sharing_of_groups * max(least, found / spread)
