"""Sections of a report that judge out-of-fold answers, for each task. Knows no page."""

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np

from classifiers.calibration import Bin
from classifiers.tasks import Task
from service.report import tables, words
from service.report.curves import label_sets, of_truth, roc, set_sizes
from service.report.markup import Markup, element, pictures, quiet, section
from service.report.pictures import (
    BLUE,
    ORANGE,
    histogram_picture,
    numbers_picture,
    reliability_picture,
    roc_picture,
)
from service.report.subject import Subject

MOST_CURVES = 10
SMALL, LARGE = 160, 300
"""Pixels of a curve among several, and of one alone."""

Section = Callable[[Subject], Markup]


def curves(subject: Subject) -> Markup:
    """The ROC curve of each yes or no: classes, labels, or "above a grade"."""
    card = subject.card
    ranked = card.question.ranked(subject.answers.astype(np.float64)).astype(np.float32)
    names, inside = words.yes_to(card), subject.truth > 0
    numbers = range(len(names))
    shown = sorted(sorted(numbers, key=lambda k: -int(inside[:, k].sum()))[:MOST_CURVES])
    independent = card.n_groups / card.n_images if card.n_groups else 1.0
    if card.question.exclusive:
        # Copies of an image are one observation too, and are counted where sets are calibrated.
        independent = card.sets.images / card.n_images
    drawn = []
    for number in shown:
        curve = roc(ranked[:, number], inside[:, number], independent)
        if curve is not None:
            name = names[number]
            side = LARGE if len(shown) == 1 else SMALL
            drawn.append(roc_picture(curve, name, words.short(name), side))
    missing = ""
    if len(numbers) > len(shown):
        missing = f" The {MOST_CURVES} classes with most images are shown."
    return section(
        "What is found at which price: ROC curves",
        pictures(drawn),
        quiet(
            "Out of fold; above each curve the class, under it its area (AUC). The nearer to the "
            f"upper left corner, the better.{missing}"
        ),
    )


def confusion(subject: Subject) -> Markup:
    """Which classes it takes for which."""
    card = subject.card
    caption = "Images out of fold, by true class and likeliest class"
    kinds = tables.kinds_of_confusion(card)
    if not tables.fits_a_matrix(card):
        left = f", the {tables.TOLD} most frequent of {kinds}" if kinds > tables.TOLD else ""
        return section("What it confuses", tables.confusions(card), quiet(f"{caption}{left}."))
    shares = f"{caption}; shares are of the row."
    return section("What it confuses", tables.confusion(card), quiet(shares))


def reliability(subject: Subject) -> Markup:
    """What its probabilities claim, and what is true."""
    found = subject.card.calibration
    if found is None:
        return Markup()
    claim = words.claim(subject.card)

    def drawn(bins: tuple[Bin, ...], how: str, error: float, colour: str) -> Markup:
        return reliability_picture(bins, f"{how}: error {words.figure(error)}", colour, claim)

    shown = [drawn(found.reliability, "as answered", found.error_after, BLUE)]
    changed = "They are the raw ones: no correction would have made them truer."
    if found.methods:
        shown.insert(0, drawn(found.reliability_before, "raw", found.error_before, ORANGE))
        changed = f"They are corrected ({', '.join(found.methods)}); the raw ones are shown beside."
    return section(
        "Do its probabilities mean what they say?",
        pictures(shown),
        quiet(f"{changed} On the diagonal, 80 % means 80 in 100. Bars are 95 % intervals."),
    )


def truth(subject: Subject) -> Markup:
    """How likely it found what was true."""
    values = of_truth(subject.answers, subject.card.question.numbers(subject.truth))
    sure = f"{100 * float(np.mean(values >= 0.5)):.0f} %"  # noqa: PLR2004  more likely than not
    return section(
        "How sure it was of the truth",
        histogram_picture(values, "Images by the probability of their true class", "probability"),
        quiet(f"Out of fold. {sure} of the images got 0.5 or more for their true class."),
    )


def sets(subject: Subject) -> Markup:
    """Sets of classes, of which one is true."""
    card = subject.card
    (threshold,) = card.sets.thresholds
    ordered = card.task == "ordinal"
    y = card.question.numbers(subject.truth)
    sizes = set_sizes(subject.answers, y, threshold, ordered=ordered)
    rows = [
        *_coverage(subject),
        ("Smallest probability of a label in the set", words.figure(threshold)),
        ("Out of fold: sets that hold the true label", _share(sizes.truth)),
        ("Sets of one label", _share(sizes.one)),
        ("Sets of several labels: it cannot tell", _share(sizes.several)),
        ("Sets without a label: no class is likely enough", _share(sizes.none)),
    ]
    asked = _share(card.sets.coverage)
    said = f"With each answer comes the set of labels that holds the true one in about {asked}."
    if ordered:
        said += " Grades between two of the set are in it too."
    return section("Prediction sets", element("p", said), tables.table(("", ""), rows, "numbers"))


def sets_of_labels(subject: Subject) -> Markup:
    """Sets of labels, of which any number is true."""
    card, rule = subject.card, subject.card.sets
    held, alarms = label_sets(subject.answers, subject.truth > 0, rule.thresholds)
    rows = [
        (name, words.figure(threshold), _share(with_it), _share(without))
        for name, threshold, with_it, without in zip(
            card.classes, rule.thresholds, held, alarms, strict=True
        )
    ]
    asked = _share(rule.coverage)
    said = (
        "With each answer comes the set of labels that cannot be ruled out. Each label by itself: "
        f"of the images that have it, about {asked} have it in their set."
    )
    head = ("Label", "In the set from", "Held, where there", "In the set, where not there")
    return section(
        "Prediction sets",
        element("p", said),
        tables.table(("", ""), _coverage(subject), "numbers"),
        tables.table(head, rows, "numbers"),
    )


def numbers(subject: Subject) -> Markup:
    """How near its numbers are to the truth."""
    given, true = subject.answers[:, 0].astype(np.float64), subject.truth[:, 0]
    margin = subject.card.sets.margin
    return section(
        "How near its numbers are",
        pictures([numbers_picture(true, given, margin)]),
        quiet(
            "Out of fold, a dot for each image. On the line the answer is the truth; between the "
            "dashed lines its interval holds the truth."
        ),
    )


def intervals(subject: Subject) -> Markup:
    """The interval that comes with each number."""
    rule = subject.card.sets
    off = np.abs(subject.answers[:, 0] - subject.truth[:, 0])
    margin = rule.margin
    held = 1.0 if margin is None else float(np.mean(off <= margin * (1 + 1e-6)))
    rows = [
        *_coverage(subject),
        ("The answer, more or less", "no bound" if margin is None else f"{margin:.4g}"),
        ("Out of fold: intervals that hold the truth", _share(held)),
    ]
    asked = _share(rule.coverage)
    said = f"With each number comes an interval that holds the truth in about {asked}."
    return section("Intervals", element("p", said), tables.table(("", ""), rows, "numbers"))


def _coverage(subject: Subject) -> list[tuple[str, object]]:
    rule = subject.card.sets
    rarest = ", of the rarest label" if subject.card.task == "multilabel" else ""
    return [
        ("Coverage asked for", _share(rule.coverage)),
        (
            f"Coverage that so many images allow, 95 % band{rarest}",
            f"{_share(rule.low)} to {_share(rule.high)}",
        ),
        (f"Independent images or groups behind it{rarest}", rule.images),
    ]


def _share(value: float) -> str:
    return f"{100 * value:.0f} %"


_OF_CLASSES: Final = (curves, confusion, reliability, truth, sets)

SECTIONS: Mapping[Task, tuple[Section, ...]] = {
    "binary": _OF_CLASSES,
    "multiclass": _OF_CLASSES,
    "ordinal": _OF_CLASSES,
    "multilabel": (curves, reliability, sets_of_labels),
    "regression": (numbers, intervals),
}
