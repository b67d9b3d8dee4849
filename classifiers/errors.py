"""The error tree of `classifiers`: one class per thing a caller can act on. Knows no HTTP.

    ClassifierError
    ├── LabelProblems       the label set cannot be learnt from; every problem at once
    ├── BadRecipe           an option of the recipe is unknown or out of its range
    ├── NoSignal            the head learnt nothing that it could show on unseen images
    ├── SpaceMismatch       vectors of one space were offered to a head of another
    ├── HeadDamaged         an artefact is not what it says it is
    ├── HeadNotFound        the zoo holds no such artefact
    └── TrainingCancelled   raised by a progress callback to stop; passes through unchanged

`str(error)` says what happened and to which thing; `error.hint` says what to do about it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from classifiers.label_set import Problem
    from classifiers.statistics import Measure


_CHANCE = {"auc": ("AUC", 0.5), "spearman": ("Spearman's correlation", 0.0)}
"""What a leading metric is called, and what it is by chance."""


class ClassifierError(Exception):
    """Anything `classifiers` refuses or fails to do; `hint` says what to do about it."""

    def __init__(self, message: str, *, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


class LabelProblems(ClassifierError):
    """The label set has errors; `problems` holds all of them, warnings included."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        errors = [problem for problem in self.problems if problem.severity == "error"]
        super().__init__(
            " ".join(problem.detail for problem in errors) or "The labels have no error.",
            hint="Correct the labels of the dataset, then learn again.",
        )


class BadRecipe(ClassifierError):
    """`option` of the recipe is unknown, of the wrong type or out of its range."""

    def __init__(self, option: str, detail: str) -> None:
        self.option = option
        self.detail = detail
        super().__init__(
            f"option {option!r}: {detail}", hint="Leave the option out to get its default."
        )


class Judged(Protocol):
    """What a refusal tells of a card."""

    @property
    def name(self) -> str:
        """The head that it would have belonged to."""

    @property
    def metrics(self) -> Mapping[str, Measure]:
        """The value and the interval of each."""

    @property
    def p_value(self) -> float:
        """Of no signal at all."""


class NoSignal(ClassifierError):
    """Nothing was learnt; `card` has the figures. It belongs to no artefact.

    `metric` is the name of the one that says so.
    """

    def __init__(self, card: Judged, metric: str) -> None:
        self.card = card
        self.metric = metric
        found = card.metrics[metric]
        name, chance = _CHANCE[metric]
        # The p-value is that of a stand-in, which may see what the head itself misses.
        why = "which chance may do as well" if found["value"] > chance else "no better than chance"
        super().__init__(
            f"head {card.name!r} learnt nothing that it could show on images it had not seen: "
            f"{name} {found['value']:.2f} (95 % interval {found['low']:.2f} to "
            f"{found['high']:.2f}, chance is {chance:.2f}), {why} "
            f"(p = {card.p_value:.2g})",
            hint="Check the labels and add images, or allow a head without signal "
            "(allow_no_signal); its card will say so.",
        )


class SpaceMismatch(ClassifierError):
    """A head of space `expected` was offered vectors of `found` (space ids, or widths)."""

    def __init__(self, expected: str, found: str) -> None:
        self.expected = expected
        self.found = found
        super().__init__(
            f"the head expects vectors of {expected}, found {found}",
            hint="Use the backbone that the head was trained on, or train it again on this one.",
        )


class HeadDamaged(ClassifierError):
    """Files of a head do not parse, or contradict each other; nothing was built from them."""

    def __init__(self, artefact: str, detail: str) -> None:
        self.artefact = artefact
        self.detail = detail
        super().__init__(
            f"head {artefact}: {detail}",
            hint="Restore the artefact from a backup or from where it came, or train it again.",
        )


class HeadNotFound(ClassifierError):
    """The zoo holds no artefact of this name."""

    def __init__(self, artefact: str) -> None:
        self.artefact = artefact
        super().__init__(
            f"no head artefact {artefact}",
            hint="List the artefacts of the zoo; a head that was deleted must be trained again.",
        )


class TrainingCancelled(ClassifierError):
    """Raised by a progress callback; learning stops and nothing is kept."""

    def __init__(self) -> None:
        super().__init__("training was cancelled", hint="Start it again when you like.")
