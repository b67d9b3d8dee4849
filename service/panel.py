"""The heads of one request, laid out to answer. Knows no catalog, and not how they are loaded."""

from collections.abc import Sequence
from dataclasses import dataclass
from threading import Event
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from classifiers.conformal import SetRule
from classifiers.forest import Answers, Chosen, View
from classifiers.tasks import Question


class Able(NamedTuple):
    """What a loaded head keeps beside its place in the forest: what its answers are worded from.

    Args:
        slot: its place.
        question: what it is asked.
        sets: its rule of prediction sets.
        templates: its answers as they were worded before, see `service.workflows.wording`.
    """

    slot: int
    question: Question
    sets: SetRule
    templates: dict[int, bytes]


@dataclass(frozen=True, slots=True)
class Asked:
    """One head that a request asked for.

    Args:
        name: the head, as far as it could be read.
        version: which one answers, where there is one.
        dataset: what it was trained on.
        artefact: where it is in the zoo.
        able: what it answers with, where it can.
        error: why it cannot answer, where it cannot.
    """

    name: str
    version: int | None = None
    dataset: str | None = None
    artefact: str = ""
    able: Able | None = None
    error: Exception | None = None


@dataclass(frozen=True, slots=True)
class Panel:
    """The heads that a request asked for, as the forest was when all of them were in it.

    Args:
        asked: in the order of the request.
        chosen: all those without an error, even if one is deleted now.
        answering: how many those are.
        warm: set once heads have answered, for then what they answer with is compiled.
    """

    asked: Sequence[Asked]
    chosen: Chosen
    answering: int
    warm: Event

    @classmethod
    def of(cls, asked: Sequence[Asked], view: View, warm: Event) -> "Panel":
        """The panel of these heads, in a view that has them."""
        slots = [one.able.slot for one in asked if one.able is not None]
        return cls(asked, view.choose(slots), len(slots), warm)

    def answers(self, X: npt.NDArray[np.float32]) -> Answers:
        """Every head without an error on every image, in one packed call.

        Args:
            X: float32 (n_images, width), the matrix of embeddings and stages.
        """
        answers = self.chosen.ask(X)
        self.warm.set()
        return answers
