"""What the demo shows, printed. Teaches nothing."""

from service.cli import show
from service.cli.ask import print_hits
from service.cli.cards import interval
from service.cli.terminal import say
from service.demo import Shown


def print_demo(shown: Shown) -> None:
    """Prints the heads, one prediction and one search."""
    say()
    rows = [
        (
            f"{name}@{card['version']}",
            "taught now" if name in shown.learnt else "known already",
            str(card["n_images"]),
            interval(card["metrics"].get("auc")),
            interval(card["metrics"].get("balanced_accuracy")),
        )
        for name, card in shown.cards.items()
    ]
    show.table(("head", "", "images", "AUC", "balanced accuracy"), rows, right=(2,))
    say(f"\nA picture of a {shown.digit} that no head has seen, {shown.sample}:")
    answers = [
        (p["head"], p["label"], show.percent(p["probabilities"][p["label"]]))
        for p in shown.prediction["results"][0]["predictions"]
        if not p.get("error")
    ]
    show.table(("head", "answer", "probability"), answers, right=(2,))
    say("\nThe pictures most similar to it:")
    print_hits(shown.search["hits"])
