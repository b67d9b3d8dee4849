"""What to label next, as a person reads it. Asks nothing."""

from collections.abc import Mapping
from typing import Any

from service.cli import show
from service.cli.terminal import note


def print_next(answer: Mapping[str, Any]) -> None:
    """Prints the images to label, the most telling first."""
    if not answer["unlabelled"]:
        note(
            f"Dataset '{answer['dataset']}' has no unlabelled images: "
            "send images without a label to it first."
        )
        return
    rows = [
        (
            image["filename"] or image["digest"],
            image["label"],
            f"{image['probabilities'][image['label']]:.2f}",
            " and ".join(image["why"]),
            f"{image['score']:.3f}",
        )
        for image in answer["images"]
    ]
    show.table(("file", "looks like", "probability", "why", "score"), rows, right=(2, 4))
    note(f"{len(rows)} of {show.count(answer['unlabelled'], 'unlabelled image')}.")
