"""What to label next: the unlabelled images of a head's dataset, the most telling first.

Changes nothing: whoever labels an image says so with the dataset's labels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from classifiers.errors import SpaceMismatch
from classifiers.head import Head
from classifiers.next_labels import Candidate, choices, rank_candidates
from classifiers.novelty import ALARM_RATE, unit_rows
from features.keys import Vectors
from service.catalog import Labelled
from service.product import Product
from service.workflows.heads import find_taught_here
from service.workflows.wording import say
from service.workspace import Workspace

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]

_AT_ONCE = 512


@dataclass(frozen=True, slots=True, eq=False)
class _Answers:
    """What a head says of images that have a record, in order.

    `units`: float32 (n_images, dim), rows of length 1; `answers`: float64 (n_images,
    n_answers); `usualness`: float64 (n_images,).
    """

    images: list[Labelled]
    units: Float32
    answers: Float64
    usualness: Float64


def next_to_label(
    product: Product, workspace: str, name: str, version: int, limit: int
) -> dict[str, Any]:
    """The answer of `GET /v1/heads/{h}/versions/{v}/next`.

    Args:
        product: everything that is wired.
        workspace: whose head it is.
        name: the head.
        version: its version.
        limit: how many images to name at most.

    Raises:
        NotFound: there is no such head or version, or its dataset is gone.
        LearntElsewhere: it came as a file.
        SpaceMismatch: the head's space is not the one that is served.
    """
    found = find_taught_here(product, workspace, name, version)
    place = product.workspaces[workspace]
    if found.space_id != place.space.id:
        raise SpaceMismatch(found.space_id, place.space.id)
    images = product.catalog.datasets.images(workspace, found.dataset)
    known = {image.digest: image for image in images if image.label is not None}
    bare = {image.digest: image for image in images if image.digest not in known}
    # One of the test split would be a test image that was chosen for being difficult.
    unlabelled = [bare[d] for d in sorted(bare) if bare[d].split != "test"]
    head = place.zoo.load(found.artefact)
    answers = _ask(place, head, unlabelled)
    labelled = _embeddings(place, [known[d] for d in sorted(known)])
    between = choices(answers.answers, head.card.question)
    ranked = rank_candidates(answers.units, between, labelled, limit)
    return {
        "head": name,
        "version": version,
        "dataset": found.dataset,
        "unlabelled": len(unlabelled),
        "images": [_entry(head, answers, rank, one) for rank, one in enumerate(ranked, 1)],
    }


def _ask(place: Workspace, head: Head, images: Sequence[Labelled]) -> _Answers:
    kept: list[Labelled] = []
    units = [np.empty((0, place.space.dim), np.float32)]
    said = [np.empty((0, head.card.question.n_answers))]
    usualness = [np.empty(0)]
    for start in range(0, len(images), _AT_ONCE):
        found, vectors = _vectors(place, images[start : start + _AT_ONCE])
        if not found:
            continue
        kept += found
        X = vectors.matrix()
        units.append(unit_rows(vectors.embeddings))
        said.append(head.answers(X))
        usualness.append(head.usualness(X))
    return _Answers(
        kept,
        np.concatenate(units),
        np.concatenate(said),
        np.concatenate(usualness),
    )


def _embeddings(place: Workspace, images: Sequence[Labelled]) -> Float32:
    units = [np.empty((0, place.space.dim), np.float32)]
    for start in range(0, len(images), _AT_ONCE):
        _, vectors = _vectors(place, images[start : start + _AT_ONCE])
        units.append(unit_rows(vectors.embeddings))
    return np.concatenate(units)


def _vectors(place: Workspace, images: Sequence[Labelled]) -> tuple[list[Labelled], Vectors]:
    """The images that have a record, and their vectors; one that is being erased has none."""
    records = place.store.get([image.digest for image in images])
    kept = [image for image in images if image.digest in records]
    some = [records[image.digest] for image in kept]
    space = place.space
    return kept, Vectors(
        np.array([r.embedding for r in some], np.float32).reshape(len(some), space.dim),
        np.array([r.stages for r in some], np.float32).reshape(len(some), space.width - space.dim),
    )


def _entry(head: Head, answers: _Answers, rank: int, one: Candidate) -> dict[str, Any]:
    image = answers.images[one.row]
    card = head.card
    said = say(card.question, card.sets, answers.answers[one.row].tolist())
    usual = float(answers.usualness[one.row])
    unlike = usual <= ALARM_RATE
    return {
        "digest": image.digest,
        "filename": image.filename,
        "group": image.group,
        "rank": rank,
        "score": one.score,
        "label": said["label"],
        "probabilities": said["probabilities"],
        "usualness": usual,
        "why": [
            why for why, holds in (("uncertain", said["abstains"]), ("unlike", unlike)) if holds
        ],
    }
