"""The label audit of a head: labels that its answers contradict, and copies among its images.

Trains nothing and changes nothing: what is found is for a person to look at.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from classifiers.copies import find_copies
from classifiers.suspects import find_suspects
from features.keys import Vectors
from service.catalog.entries import Version
from service.catalog.heads import TrainingImage
from service.product import Product
from service.workflows.heads import find_taught_here


def suspects(
    product: Product, workspace: str, name: str, version: int, limit: int
) -> dict[str, Any]:
    """The answer of `GET /v1/heads/{h}/versions/{v}/suspects`.

    Args:
        product: the product.
        workspace: whose head it is.
        name: the head.
        version: its version.
        limit: how many suspects, and how many groups of duplicates, to name at most.

    Raises:
        NotFound: there is no such head or version.
        LearntElsewhere: it came as a file.
    """
    found = find_taught_here(product, workspace, name, version)
    images = product.catalog.heads.training_images(workspace, name, version)
    doubted = _suspects(product, workspace, found, images)[:limit]
    copies = _duplicates(product, workspace, found, images, limit)
    digests = [d for group in copies or () for d in group["digests"]]
    digests += [s["digest"] for s in doubted]
    known = product.catalog.datasets.describe(workspace, digests, found.dataset)
    name_of = {digest: image.filename for digest, (_, image) in known.items()}
    for rank, suspect in enumerate(doubted, 1):
        suspect |= {"filename": name_of.get(suspect["digest"]), "rank": rank}
    for group in copies or ():
        group["filenames"] = [name_of.get(digest) for digest in group["digests"]]
    return {"head": name, "version": version, "suspects": doubted, "duplicates": copies}


def _suspects(
    product: Product, workspace: str, found: Version, images: Sequence[TrainingImage]
) -> list[dict[str, Any]]:
    head = product.workspaces[workspace].zoo.load(found.artefact)
    image_of = {image.row: image for image in images if image.row is not None}
    arrays = head.arrays
    ranked = find_suspects(arrays["out_of_fold"], arrays["truth"], head.card.question)
    return [
        {
            "digest": image_of[s.row].digest,
            "label": image_of[s.row].label,
            "likely": s.likely,
            "score": s.score,
        }
        for s in ranked
        if s.row in image_of  # one that was erased is not named
    ]


def _duplicates(
    product: Product,
    workspace: str,
    found: Version,
    images: Sequence[TrainingImage],
    limit: int,
) -> list[dict[str, Any]] | None:
    """Groups of copies, conflicting labels first; None where the head's space is not served."""
    if found.space_id != product.space.id:
        return None
    records = product.workspaces[workspace].store.get([image.digest for image in images])
    kept = [image for image in images if image.digest in records]
    if not kept:
        return []
    X = Vectors(
        np.stack([records[image.digest].embedding for image in kept]),
        np.stack([records[image.digest].stages for image in kept]),
    ).matrix()
    scaling = product.workspaces[workspace].zoo.load(found.artefact).card.scaling
    groups = [
        {
            "digests": [kept[row].digest for row in one.rows],
            "labels": [kept[row].label for row in one.rows],
            "score": one.score,
        }
        for one in find_copies(scaling.details(scaling.scale(X)))
    ]
    return sorted(groups, key=_urgency)[:limit]


def _urgency(group: dict[str, Any]) -> tuple[bool, float]:
    return len(set(group["labels"])) == 1, -group["score"]
