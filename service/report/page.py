"""The page of a report, section by section, and its style. Knows no catalog, no route, no file.

The same version and images give the same page: nothing of the day it was asked for is in it.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from classifiers.card import Card
from service.report import gallery, tables, words
from service.report.curves import Float32, Int32, of_truth, roc, set_sizes
from service.report.gallery import Gallery
from service.report.markup import Markup, element, joined
from service.report.pictures import (
    BLUE,
    ORANGE,
    histogram_picture,
    reliability_picture,
    roc_picture,
)
from service.report.style import POLICY, STYLE
from service.version import VERSION

MOST_CURVES = 10
SMALL, LARGE = 160, 300
"""Pixels of a curve among several, and of one alone."""


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """What a report is about.

    Args:
        name, version: of the head, as the library calls it.
        dataset: what it learnt from.
        artefact: the hash it is kept under.
        card: what it says of itself.
        probabilities: float32 (n_images, n_classes), out of fold.
        truth: int32 (n_images,), class numbers.
        gallery: images that a person should look at.
    """

    name: str
    version: int
    dataset: str
    artefact: str
    card: Card
    probabilities: Float32
    truth: Int32
    gallery: Gallery = field(default_factory=Gallery)


def write_report(subject: Subject) -> str:
    """The report as one page of HTML that needs nothing beside it."""
    title = f"{subject.name}@{subject.version}"
    policy = {"http_equiv": "Content-Security-Policy", "content": POLICY}
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", **policy),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", f"{title}: report"),
        element("style", Markup(STYLE)),
    )
    sections = (
        _verdict,
        _cautions,
        _learnt_from,
        _metrics,
        _curves,
        _confusion,
        _reliability,
        _truth,
        _sets,
        _novelty,
        _labels,
        _definitions,
        _provenance,
    )
    heading = element("h1", f"How good is {title}?")
    body = element("body", heading, *(section(subject) for section in sections))
    return "<!DOCTYPE html>\n" + element("html", head, body, lang="en") + "\n"


def _verdict(subject: Subject) -> Markup:
    card = subject.card
    short, why = words.verdict(card)
    return element(
        "div",
        element("p", words.question(card)),
        element("p", element("strong", short), " ", why),
        *(element("p", line) for line in words.how_good(card)),
        class_=f"verdict {'good' if card.signal else 'bad'}",
    )


def _learnt_from(subject: Subject) -> Markup:
    card = subject.card
    groups = (
        f"in {card.n_groups} groups, which were never split"
        if card.n_groups
        else "no groups are known"
    )
    kept = f" {card.n_test_images} more were kept aside as a test." if card.n_test_images else ""
    said = f"{card.n_images} images of the dataset “{subject.dataset}”, {groups}.{kept}"
    return _section("What it learnt from", element("p", said), tables.classes(card))


def _metrics(subject: Subject) -> Markup:
    return _section(
        "How good it is",
        tables.metrics(subject.card),
        _quiet(words.how_evaluated(subject.card)),
    )


def _curves(subject: Subject) -> Markup:
    card, p, y = subject.card, subject.probabilities, subject.truth
    numbers = [1] if card.task == "binary" else range(len(card.classes))
    shown = sorted(sorted(numbers, key=lambda k: -card.class_counts[card.classes[k]])[:MOST_CURVES])
    independent = card.n_groups / card.n_images if card.n_groups else 1.0
    pictures = []
    for number in shown:
        curve = roc(p[:, number], y == number, independent)
        if curve is not None:
            title = f"{words.short(card.classes[number])}: {words.figure(curve.area)}"
            pictures.append(roc_picture(curve, title, LARGE if len(shown) == 1 else SMALL))
    rest = len(numbers) - len(shown)
    missing = f" The {MOST_CURVES} classes with most images are shown." if rest else ""
    return _section(
        "What is found at which price: ROC curves",
        _pictures(pictures),
        _quiet(
            "Out of fold; above each curve, the class and the area under it. The nearer to the "
            f"upper left corner, the better.{missing}"
        ),
    )


def _confusion(subject: Subject) -> Markup:
    return _section(
        "What it confuses",
        tables.confusion(subject.card),
        _quiet("Images out of fold, by true class and likeliest class; shares are of the row."),
    )


def _reliability(subject: Subject) -> Markup:
    found = subject.card.calibration
    binary = subject.card.task == "binary"
    claim = (
        f"probability of {words.short(subject.card.classes[1])}"
        if binary
        else "largest probability"
    )
    before, after = words.figure(found.error_before), words.figure(found.error_after)
    pictures = [
        reliability_picture(found.reliability, f"as answered: error {after}", BLUE, claim),
    ]
    changed = "They are the raw ones: no correction would have made them truer."
    if found.rule.method != "none":
        raw = reliability_picture(found.reliability_before, f"raw: error {before}", ORANGE, claim)
        pictures.insert(0, raw)
        changed = f"They are corrected ({found.rule.method}); the raw ones are shown beside them."
    return _section(
        "Do its probabilities mean what they say?",
        _pictures(pictures),
        _quiet(f"{changed} On the diagonal, 80 % means 80 in 100. Bars are 95 % intervals."),
    )


def _truth(subject: Subject) -> Markup:
    values = of_truth(subject.probabilities, subject.truth)
    sure = f"{100 * float(np.mean(values >= 0.5)):.0f} %"  # noqa: PLR2004  more likely than not
    return _section(
        "How sure it was of the truth",
        histogram_picture(values, "Images by the probability of their true class", "probability"),
        _quiet(f"Out of fold. {sure} of the images got 0.5 or more for their true class."),
    )


def _sets(subject: Subject) -> Markup:
    rule = subject.card.sets
    sizes = set_sizes(subject.probabilities, subject.truth, rule.threshold)
    asked, low, high = (f"{100 * each:.0f} %" for each in (rule.coverage, rule.low, rule.high))
    rows = [
        ("Coverage asked for", asked),
        ("Coverage that so many images allow, 95 % band", f"{low} to {high}"),
        ("Independent images or groups behind it", rule.images),
        ("Smallest probability of a label in the set", words.figure(rule.threshold)),
        ("Out of fold: sets that hold the true label", f"{100 * sizes.truth:.0f} %"),
        ("Sets of one label", f"{100 * sizes.one:.0f} %"),
        ("Sets of several labels: it cannot tell", f"{100 * sizes.several:.0f} %"),
        ("Sets without a label: no class is likely enough", f"{100 * sizes.none:.0f} %"),
    ]
    said = f"With each answer comes the set of labels that holds the true one in about {asked}."
    return _section("Prediction sets", element("p", said), tables.table(("", ""), rows, "numbers"))


def _novelty(subject: Subject) -> Markup:
    said = (
        "With each answer comes how usual the image is among those it learnt from, as the share "
        "of them, held out, that were at least as strange. At 0.05 or less the answer is marked "
        "“unlike”: about 5 in 100 images of the learnt kind are, and nearly all of another kind. "
        f"{subject.card.novelty.distances} images show how strange is usual."
    )
    pictures = gallery.strange(subject.gallery)
    return _section("Images unlike those it learnt from", element("p", said), *pictures)


def _labels(subject: Subject) -> Markup:
    return _section(
        "Labels to look at again",
        *gallery.doubted(subject.gallery),
        element("h3", "Copies"),
        *gallery.copies(subject.gallery),
    )


def _cautions(subject: Subject) -> Markup:
    card = subject.card
    parts = []
    for title, lines in (("Limits", card.limits), ("Doubts about the labels", card.warnings)):
        if lines:
            parts += [element("h3", title), element("ul", *(element("li", line) for line in lines))]
    return _section("Before you rely on it", *(parts or [element("p", "Nothing was noted.")]))


def _definitions(_: Subject) -> Markup:
    pairs = [
        part
        for word, meaning in words.DEFINITIONS.items()
        for part in (element("dt", word), element("dd", meaning))
    ]
    return _section("Definitions", element("dl", *pairs))


def _provenance(subject: Subject) -> Markup:
    card = subject.card
    facts: dict[str, Any] = {
        "Head": f"{subject.name}@{subject.version}",
        "Learnt": card.created,
        "Author": card.author or "not given",
        "Dataset": subject.dataset,
        "Fingerprint of the label set": card.fingerprint,
        "Space": card.space_id,
        "Artefact": subject.artefact,
        "Blocks": ", ".join(f"{b.name} {b.start}:{b.stop}" for b in card.blocks),
        "Shares of the mixture": _shown(card.shares),
        "Factor of the trees": f"{card.tree_factor:.6g}",
        "Calibration": f"{card.calibration.rule.method}, scale {card.calibration.rule.scale:.6g}",
        "Folds": _shown(card.folds),
        "Recipe": _shown(card.recipe.to_dict()),
        "LightGBM": card.lightgbm,
        "Report written by": f"Penultimate {VERSION}",
    }
    return _section("Where it comes from", tables.table(("", ""), facts.items(), "facts"))


def _section(title: str, *inside: Markup) -> Markup:
    return element("section", element("h2", title), *inside)


def _pictures(pictures: Iterable[Markup]) -> Markup:
    return element("div", joined(list(pictures)), class_="pictures")


def _quiet(text: str) -> Markup:
    return element("p", text, class_="quiet")


def _shown(values: Any) -> str:  # noqa: ANN401  whatever JSON can say
    plain = {n: f"{v:.6g}" if isinstance(v, float) else v for n, v in dict(values).items()}
    return ", ".join(f"{n} {v if isinstance(v, str) else json.dumps(v)}" for n, v in plain.items())
