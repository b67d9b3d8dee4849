"""The page of a report, section by section, and its style. Knows no catalog, no route, no file.

The same version and images give the same page: nothing of the day it was asked for is in it.
"""

import json
from typing import Any

from classifiers.card import Card
from service.report import answers, gallery, tables, words
from service.report.definitions import DEFINITIONS
from service.report.markup import Markup, element, quiet, section
from service.report.pictures import growth_picture
from service.report.style import POLICY, STYLE
from service.report.subject import Subject
from service.version import VERSION

_UNGROUPED = "no groups are known"


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
        _growth,
        *answers.SECTIONS[subject.card.task],
        _novelty,
        _labels,
        _definitions,
        _provenance,
    )
    heading = element("h1", f"How good is {title}?")
    body = element(
        "body", heading, quiet(words.about(subject.card)), *(write(subject) for write in sections)
    )
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
    groups = f"in {card.n_groups} groups, {words.kept(card)}" if card.n_groups else _UNGROUPED
    kept = f" {card.n_test_images} more were kept aside as a test." if card.n_test_images else ""
    where = f"of the dataset “{subject.dataset}”" if subject.dataset else "that are elsewhere"
    said = f"{card.n_images} images {where}, {groups}.{kept}"
    return section("What it learnt from", element("p", said), tables.classes(card))


def _metrics(subject: Subject) -> Markup:
    return section(
        "How good it is",
        tables.metrics(subject.card),
        quiet(words.how_evaluated(subject.card)),
    )


def _growth(subject: Subject) -> Markup:
    title, growth = "Would more images help?", subject.card.growth
    if growth is None:
        why = "That was not measured: the head was learnt with the fast report."
        return section(title, element("p", why))
    parts = [element("p", growth.sentence)]
    if growth.fitted:
        parts += [growth_picture(growth), quiet(words.how_foretold(growth))]
    return section(title, *parts)


def _novelty(subject: Subject) -> Markup:
    said = (
        "With each answer comes how usual the image is among those it learnt from, as the share "
        f"of them, held out, that were at least as strange. {words.unlike(subject.card)} "
        f"{subject.card.novelty.distances} images show how strange is usual."
    )
    pictures = gallery.strange(subject.gallery)
    return section("Images unlike those it learnt from", element("p", said), *pictures)


def _labels(subject: Subject) -> Markup:
    return section(
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
    return section("Before you rely on it", *(parts or [element("p", "Nothing was noted.")]))


def _definitions(_: Subject) -> Markup:
    pairs = [
        part
        for word, meaning in DEFINITIONS.items()
        for part in (element("dt", word), element("dd", meaning))
    ]
    return section("Definitions", element("dl", *pairs))


def _provenance(subject: Subject) -> Markup:
    card = subject.card
    facts: dict[str, Any] = {
        "Head": f"{subject.name}@{subject.version}",
        "Learnt": card.created,
        "Author": card.author or "not given",
        "Dataset": subject.dataset or "elsewhere: the head came as a file",
        "Fingerprint of the label set": card.fingerprint,
        "Space": card.space_id,
        "Artefact": subject.artefact,
        "Blocks": ", ".join(f"{b.name} {b.start}:{b.stop}" for b in card.blocks),
        "Shares of the mixture": _shown(card.shares),
        "Factors of the trees": ", ".join(f"{factor:.6g}" for factor in card.tree_factors),
        "Calibration": _calibration(card),
        "Folds": _shown(card.folds),
        "Recipe": _shown(card.recipe.to_dict()),
        "LightGBM": card.lightgbm,
        "Report written by": f"Penultimate {VERSION}",
    }
    return section("Where it comes from", tables.table(("", ""), facts.items(), "facts"))


def _calibration(card: Card) -> str:
    if card.calibration is None:
        return "none"
    rules = ", ".join(f"{r.method}, scale {r.scale:.6g}" for r in card.calibration.rules)
    return f"{rules}; doubt {card.doubt:.3g}"


def _shown(values: Any) -> str:  # noqa: ANN401  whatever JSON can say
    plain = {n: f"{v:.6g}" if isinstance(v, float) else v for n, v in dict(values).items()}
    return ", ".join(f"{n} {v if isinstance(v, str) else json.dumps(v)}" for n, v in plain.items())
