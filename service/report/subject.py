"""What a report is about. Knows no page."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from classifiers.card import Card
from service.report.curves import Float32
from service.report.gallery import Gallery


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """What a report is about.

    Args:
        name, version: of the head, as the library calls it.
        dataset: what it learnt from; empty where that is not here.
        artefact: the hash it is kept under.
        card: what it says of itself.
        answers: float32 (n_images, n_answers), out of fold.
        truth: float64 (n_images, n_outputs), what each output should have said.
        gallery: images that a person should look at.
    """

    name: str
    version: int
    dataset: str
    artefact: str
    card: Card
    answers: Float32
    truth: npt.NDArray[np.float64]
    gallery: Gallery = field(default_factory=Gallery)
