"""What a report says in sentences: the verdict, and the definitions. Knows no markup.

Every figure comes from the card; a sentence adds what it means and nothing more.
"""

from classifiers.card import Card
from classifiers.curve import CALLED, CLOSE, Growth
from classifiers.evaluation import SIGNIFICANCE, leading
from classifiers.limits import FEWEST_USUAL
from classifiers.statistics import Measure

METRICS = {
    "auc": "AUC",
    "balanced_accuracy": "Balanced accuracy",
    "kappa": "Quadratic kappa",
    "spearman": "Spearman's correlation",
    "r2": "R²",
    "mean_absolute_error": "Mean absolute error",
}
"""Metrics that are shown, in this order; the card may hold more."""


SMALL = 0.01
"""An error all of whose interval is smaller is in a small unit, and three places would not do."""


def figure(value: float) -> str:
    """A figure as the report writes it."""
    return f"{value:.3f}"


def interval(measure: Measure | None) -> str:
    """A figure with its interval."""
    if measure is None:
        return "unknown"
    if max(map(abs, (measure["value"], measure["low"], measure["high"]))) < SMALL:
        return f"{measure['value']:.3g} ({measure['low']:.3g} to {measure['high']:.3g})"
    low, high = figure(measure["low"]), figure(measure["high"])
    return f"{figure(measure['value'])} ({low} to {high})"


def short(name: str, longest: int = 18) -> str:
    """A class name that fits above a picture; names often differ at their ends, so both stay."""
    half = longest // 2
    return name if len(name) <= longest else f"{name[:half]}…{name[-half:]}"


def chance(metric: str, card: Card) -> str:
    """What guessing gives."""
    if metric == "balanced_accuracy" and card.question.exclusive:
        return figure(1 / len(card.classes))
    known = {"auc": 0.5, "balanced_accuracy": 0.5, "kappa": 0.0, "spearman": 0.0, "r2": 0.0}
    return figure(known[metric]) if metric in known else ""


def yes_to(card: Card) -> tuple[str, ...]:
    """What a yes of each output means."""
    if card.task == "ordinal":
        return tuple(f"above {grade}" for grade in card.classes[:-1])
    return card.classes[1:] if card.task == "binary" else card.classes


def claim(card: Card) -> str:
    """What its reliability is judged by."""
    if card.task == "binary":
        return f"probability of {short(card.classes[1])}"
    return "probability of a label" if card.task == "multilabel" else "largest probability"


def opponent(card: Card) -> str:
    """What it is compared with."""
    return "Ridge regression" if card.question.is_number else "Logistic regression"


def about(card: Card) -> str:
    """Whose it is, and what it is not."""
    author = f" by {card.author}" if card.author else ""
    return (
        f"Learnt on {card.created[:10]}{author}. For research: it is no medical device, and no "
        "substitute for a person who looks."
    )


def question(card: Card) -> str:
    """What the head answers."""
    if card.task == "binary":
        return f"It tells “{card.classes[1]}” from “{card.classes[0]}”."
    if card.values is not None:
        low, high = card.values["low"], card.values["high"]
        return (
            f"It answers with a number; 9 of 10 it learnt from lie between {low:.4g} and "
            f"{high:.4g}."
        )
    named = ", ".join(f"“{name}”" for name in card.classes[:12])
    rest = f" and {len(card.classes) - 12} more" if len(card.classes) > 12 else ""  # noqa: PLR2004  as many as a sentence bears
    if card.task == "multilabel":
        return f"It says which of {len(card.classes)} labels an image has: {named}{rest}."
    kinds = "grades" if card.task == "ordinal" else "classes"
    return f"It sorts an image into one of {len(card.classes)} {kinds}: {named}{rest}."


def how_good(card: Card) -> list[str]:
    """How good it is, in sentences that need no statistics."""
    # A test split of one class has no AUC, and to always answer that class would be all right.
    tested = leading(card.question) in card.metrics_test
    metrics = card.metrics_test if tested else card.metrics
    source = (
        f"on the {card.n_test_images} images of the test split, which it never saw"
        if tested
        else "in cross-validation, on images that it had not learnt from"
    )
    said = []
    if "auc" in metrics:
        pair = {
            "binary": "one of each",
            "multilabel": "one image with a label and one without",
            "ordinal": "two images of different grades",
        }.get(card.task, "one image of a class and one of another")
        said.append(
            f"Shown {pair}, it ranks the two rightly in about {_percent(metrics['auc'])} "
            f"of cases ({source})."
        )
    if "mean_absolute_error" in metrics:
        said.append(f"Its answers are off by {_error(metrics['mean_absolute_error'], card)}.")
    if "r2" in metrics:
        said.append(
            f"Of how the numbers differ, it explains {_percent(metrics['r2'])} ({source}); "
            "guessing their mean explains nothing."
        )
    if card.task == "multilabel" and "balanced_accuracy" in metrics:
        said.append(
            "Of 100 images with a label and 100 without, it tells "
            f"{_percent(metrics['balanced_accuracy'])} rightly, averaged over the labels."
        )
    elif "balanced_accuracy" in metrics:
        said.append(
            "Of 100 images of each class, it gives "
            f"{_percent(metrics['balanced_accuracy'])} the right class, averaged over the classes."
        )
    said.append("Brackets hold 95 % intervals: what chance leaves open with so few images.")
    return said


def verdict(card: Card) -> tuple[str, str]:
    """Whether it has learnt anything: in short, and the sentence that says why."""
    p = f"p = {figure(card.p_value)}, by {card.permutations} permutations of the labels"
    if not card.signal:
        why = f"Chance alone may explain what it seems to know ({p})."
        if card.p_value < SIGNIFICANCE:
            why = f"It does no better than chance, though its images say something ({p})."
        return "Do not rely on it: no signal.", why
    why = (
        f"Chance alone would hardly do as well ({p}). Whether that is enough for your purpose is "
        "for the intervals, the limits below and your own images to say."
    )
    return "It has learnt something.", why


KEPT = {
    "group-wise": ", groups kept together",
    "copies together": ", copies of an image kept together",
}


def kept(card: Card) -> str:
    """Whether groups were kept together."""
    if card.folds["kind"] == "group-wise":
        return "which were never split"
    return "which could not be kept together: the figures are too good"


def unlike(card: Card) -> str:
    """Which images are called unlike those learnt from."""
    if card.novelty.distances < FEWEST_USUAL:
        return (
            "At 0.05 or less the answer would be marked “unlike”; with so few images none can be, "
            "not even one of another kind."
        )
    return (
        "At 0.05 or less the answer is marked “unlike”: about 5 in 100 images of the learnt kind "
        "are, and nearly all of another kind."
    )


def how_evaluated(card: Card) -> str:
    """How the figures were made."""
    folds = card.folds
    kept = KEPT.get(folds["kind"], "")
    repeats = f", {folds['repeats']} times" if folds["repeats"] > 1 else ""
    why = folds["reason"]
    reason = f" {why[0].upper()}{why[1:]}." if why else ""
    return f"Cross-validated in {folds['folds']} folds{kept}{repeats}.{reason}"


def how_foretold(growth: Growth) -> str:
    """How the learning curve was made, and how it fared on halves of the images."""
    said = (
        "Dots: measured with so many images, the last one today's. Line: the fitted power law, "
        "dashed where it looks ahead. Bars and band: 95 %."
    )
    if growth.backtest is None:
        return said
    close, halves = growth.backtest["close"], growth.backtest["halves"]
    return (
        f"{said} Back-test: curves fitted on halves of these images foretold today's "
        f"{CALLED[growth.metric]} within {CLOSE} in {close} of {halves} draws, and missed by "
        f"{figure(growth.backtest['error'])} on average."
    )


def _error(measure: Measure, card: Card) -> str:
    low, high = measure["low"], measure["high"]
    unit = "" if card.question.is_number else " grades"
    return f"{measure['value']:.3g}{unit} on average ({low:.3g} to {high:.3g})"


def _percent(measure: Measure) -> str:
    low, high = 100 * measure["low"], 100 * measure["high"]
    return f"{100 * measure['value']:.0f} % ({low:.0f} to {high:.0f} %)"
