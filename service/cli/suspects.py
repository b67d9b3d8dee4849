"""The label audit of a head as a person reads it. Asks nothing."""

from collections.abc import Mapping
from typing import Any

from service.cli import show
from service.cli.terminal import note, say


def print_suspects(answer: Mapping[str, Any]) -> None:
    """Prints labels in doubt, most suspect first, and images that are nearly the same."""
    if answer["suspects"]:
        rows = [
            (s["filename"] or s["digest"], s["label"], s["likely"], f"{s['score']:.3f}")
            for s in answer["suspects"]
        ]
        show.table(("file", "label", "looks like", "score"), rows, right=(3,))
    else:
        note("The head's out-of-fold answers contradict no label.")
    if answer["duplicates"] is None:
        note("Duplicates were not looked for: the head's space is not served here.")
    elif answer["duplicates"]:
        say()
        _print_duplicates(answer["duplicates"])
    else:
        note("No two training images are nearly the same.")


def _print_duplicates(groups: list[dict[str, Any]]) -> None:
    rows = [
        (str(number), name or digest, label, f"{group['score']:.3f}")
        for number, group in enumerate(groups, 1)
        for name, digest, label in zip(
            group["filenames"], group["digests"], group["labels"], strict=True
        )
    ]
    show.table(("same", "file", "label", "score"), rows, right=(0, 3))
