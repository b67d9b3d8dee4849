"""A card as a person reads it: what was learnt from what, how good it is, what to mind."""

from collections.abc import Mapping
from typing import Any

from service.cli import show
from service.cli.terminal import say

METRICS = {
    "auc": "AUC",
    "balanced_accuracy": "balanced accuracy",
    "kappa": "quadratic kappa",
    "spearman": "Spearman's correlation",
    "r2": "R²",
    "mean_absolute_error": "mean absolute error",
}
"""Metrics that are shown, in this order; the card may hold more."""


_SMALL = 0.01
"""An error all of whose interval is smaller is in a small unit, and three places would not do."""

_WHAT = {
    "binary": "{} classes",
    "multiclass": "{} classes",
    "multilabel": "{} labels",
    "ordinal": "{} grades",
    "regression": "a number",
}


def print_card(card: Mapping[str, Any]) -> None:
    """Prints what a version of a head says of itself."""
    say(_headline(card))
    say()
    _print_learnt(card)
    plain = f"{'ridge' if card['task'] == 'regression' else 'logistic'} regression"
    for how, own, baseline in (
        (_how_measured(card), card["metrics"], card["baseline"]),
        (
            f"On the {card['n_test_images']} images of the test split, which it never saw:",
            card["metrics_test"],
            card["baseline_test"],
        ),
    ):
        rows = [
            (title, interval(own[name]), interval(baseline.get(name)))
            for name, title in METRICS.items()
            if name in own
        ]
        if rows:
            say(f"\n{how}")
            show.table(("", "this head", plain), rows)
    if not card["signal"]:
        say("\nIt has learnt nothing that chance would not explain: do not rely on it.")
    say(f"\np = {card['p_value']:.2g} by {card['permutations']} permutations of the labels.")
    _print_growth(card["growth"])
    for title, lines in (("Limits", card["limits"]), ("Warnings", card["warnings"])):
        if lines:
            say(f"\n{title}:")
            for line in lines:
                say(f"  - {line}")


def _print_learnt(card: Mapping[str, Any]) -> None:
    counts, aucs, values = card["class_counts"], card["label_auc"], card["values"]
    if values is not None:
        say(
            f"Numbers: mean {values['mean']:.4g}, deviation {values['deviation']:.4g}, "
            f"9 of 10 between {values['low']:.4g} and {values['high']:.4g}."
        )
    elif aucs:
        rows = [(c, str(counts[c]), interval(aucs.get(c))) for c in card["classes"]]
        show.table(("label", "images", "AUC"), rows, right=(1,))
    else:
        show.table(("class", "images"), [(c, str(counts[c])) for c in card["classes"]], right=(1,))


def _print_growth(growth: Mapping[str, Any] | None) -> None:
    if growth is None:
        return
    say(f"\nMore images: {growth['sentence']}")
    if growth["fitted"]:
        today = growth["measured"][-1]["images"]
        rows = [(str(point["images"]), interval(point)) for point in growth["measured"]]
        ahead = [point for point in growth["fitted"] if point["images"] > today]
        rows += [(str(point["images"]), f"{interval(point)}, expected") for point in ahead]
        show.table(("images", METRICS[growth["metric"]]), rows)
    if growth["backtest"]:
        say(
            "Back-test: curves fitted on halves of these images foretold today's figure within "
            f"0.03 in {growth['backtest']['close']} of {growth['backtest']['halves']} draws."
        )


def interval(measure: Mapping[str, float] | None) -> str:
    """A figure with the interval it lies in, as in `0.93 (0.90 to 0.95)`."""
    if measure is None:
        return "unknown"
    if max(map(abs, (measure["value"], measure["low"], measure["high"]))) < _SMALL:
        return f"{measure['value']:.3g} ({measure['low']:.3g} to {measure['high']:.3g})"
    return f"{measure['value']:.3f} ({measure['low']:.3f} to {measure['high']:.3f})"


def _headline(card: Mapping[str, Any]) -> str:
    groups = f" in {show.count(card['n_groups'], 'group')}" if card["n_groups"] else ""
    where = f"of dataset '{card['dataset']}'" if card["dataset"] else show.ELSEWHERE
    author = f", author {card['author']}" if card["author"] else ""
    return (
        f"{card['name']}@{card['version']}: {_WHAT[card['task']].format(len(card['classes']))} "
        "learnt from "
        f"{card['n_images']} images{groups} {where}{author}"
    )


KEPT = {
    "group-wise": ", groups kept together",
    "copies together": ", copies of an image kept together",
}


def _how_measured(card: Mapping[str, Any]) -> str:
    folds = card["folds"]
    kept = KEPT.get(folds["kind"], "")
    repeats = f", {folds['repeats']} times" if folds["repeats"] > 1 else ""
    reason = f" ({folds['reason']})" if folds["reason"] else ""
    return (
        f"Cross-validated in {folds['folds']} folds{kept}{repeats}{reason}; "
        "in brackets what chance leaves open, at 95 %:"
    )
