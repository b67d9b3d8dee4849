"""Tables of a report: what it learnt from, how good it is, what it confuses. Knows no picture."""

from collections.abc import Iterable, Sequence
from itertools import product

from classifiers.card import Card
from service.report.markup import Markup, element
from service.report.words import METRICS, chance, interval, opponent

WIDEST_MATRIX = 12
"""Classes of a confusion matrix that fits a page; of more, the largest entries are told."""

WIDEST_NAMES = 50
"""Letters of class names that fit above its columns; beyond, columns are numbered."""

TOLD = 25
DARK = 0.55
"""Share from which on a cell is so dark that its text must be white."""


def table(head: Sequence[object], rows: Iterable[Sequence[object]], kind: str = "") -> Markup:
    """A table; the first cell of each row names the row."""
    return element(
        "table",
        element("thead", element("tr", *(element("th", cell, scope="col") for cell in head))),
        element("tbody", *(_row(row) for row in rows)),
        class_=kind,
    )


def classes(card: Card) -> Markup:
    """Images by class, of several labels with the AUC of each; or what the numbers are."""
    if card.values is not None:
        values = card.values
        facts = [
            ("Mean", f"{values['mean']:.4g}"),
            ("Standard deviation", f"{values['deviation']:.4g}"),
            ("9 of 10 lie between", f"{values['low']:.4g} and {values['high']:.4g}"),
        ]
        return table(("Numbers", ""), facts, "numbers")
    counts = card.class_counts
    rows = [(c, counts[c], f"{100 * counts[c] / card.n_images:.0f} %") for c in card.classes]
    if not card.label_auc:
        return table(("Class", "Images", "Share"), rows, "numbers")
    aucs = [interval(card.label_auc.get(name)) for name in card.classes]
    each = [(*row, auc) for row, auc in zip(rows, aucs, strict=True)]
    return table(("Label", "Images", "Share", "AUC, cross-validated"), each, "numbers")


def metrics(card: Card) -> Markup:
    """Metrics with their intervals, beside the baseline and chance."""
    rows = []
    for where, own, baseline in (
        ("cross-validated", card.metrics, card.baseline),
        ("test split", card.metrics_test, card.baseline_test),
    ):
        rows += [
            (
                f"{title}, {where}",
                interval(own[name]),
                interval(baseline.get(name)),
                chance(name, card),
            )
            for name, title in METRICS.items()
            if name in own
        ]
    return table(("", "This head", opponent(card), "Chance"), rows, "numbers")


def confusion(card: Card) -> Markup:
    """The confusion matrix."""
    names, columns = card.classes, card.classes
    if sum(map(len, names)) > WIDEST_NAMES:
        columns = tuple(str(number) for number in range(1, len(names) + 1))
        names = tuple(f"{number} {name}" for number, name in zip(columns, names, strict=True))
    rows = []
    for name, counts in zip(names, card.confusion, strict=True):
        total = sum(counts)
        cells = [_heat(n, n / total if total else 0.0) for n in counts]
        rows.append([name, *cells, total])
    return table(["True class ↓ called →", *columns, "Images"], rows, "numbers matrix")


def fits_a_matrix(card: Card) -> bool:
    """Whether there are few enough classes."""
    return len(card.classes) <= WIDEST_MATRIX


def kinds_of_confusion(card: Card) -> int:
    """How many pairs of classes have images of the one called the other."""
    return len(_confused(card))


def confusions(card: Card) -> Markup:
    """The largest entries of the matrix, where there are too many classes for all of it."""
    worst = sorted(_confused(card), key=lambda each: (-each[0], each[1:]))[:TOLD]
    rows = [(card.classes[i], card.classes[j], n, sum(card.confusion[i])) for n, i, j in worst]
    return table(("True class", "Called", "Images", "of"), rows)


def _confused(card: Card) -> list[tuple[int, int, int]]:
    pairs = product(range(len(card.classes)), repeat=2)
    return [(card.confusion[i][j], i, j) for i, j in pairs if i != j and card.confusion[i][j]]


def _heat(n: int, share: float) -> Markup:
    """A cell, darker the larger its share of the row; the number says the same to a printer."""
    colour = f"rgb({_tone(share, 0)},{_tone(share, 114)},{_tone(share, 178)})"
    text = "#fff" if share > DARK else "#222"
    return element(
        "td",
        n,
        element("small", f"{100 * share:.0f} %"),
        style=f"background:{colour};color:{text}",
    )


def _tone(share: float, full: int) -> int:
    return round(255 + (full - 255) * share)


def _row(cells: Sequence[object]) -> Markup:
    first, *others = cells
    made = (
        cell if isinstance(cell, Markup) and cell.startswith("<td") else element("td", cell)
        for cell in others
    )
    return element("tr", element("th", first, scope="row"), *made)
