"""What the demo shows, printed. Teaches nothing."""

import typer

from service.cli import show
from service.cli.ask import print_hits
from service.cli.cards import interval
from service.demo import Shown


def print_demo(shown: Shown) -> None:
    """Prints the heads, one prediction and one search."""
    typer.echo()
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
    typer.echo(f"\nA picture of a {shown.digit} that no head has seen, {shown.sample}:")
    answers = [
        (p["head"], p["label"], show.percent(p["probabilities"][p["label"]]))
        for p in shown.prediction["results"][0]["predictions"]
        if not p.get("error")
    ]
    show.table(("head", "answer", "probability"), answers, right=(2,))
    typer.echo("\nThe pictures most similar to it:")
    print_hits(shown.search["hits"])
