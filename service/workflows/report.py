"""The report of a head, with the images that a person should look at before relying on it."""

from typing import Any

import numpy as np

from classifiers.head import Head
from classifiers.novelty import unit_rows
from features.blobs import Blobs
from features.errors import FeatureError
from features.images import thumbnail
from service.catalog import ELSEWHERE, Version
from service.product import Product
from service.report import UNKNOWN, Gallery, Pictured, Subject, write_report
from service.workflows.heads import find_version
from service.workflows.suspects import suspects
from service.workspace import Workspace

DOUBTED, COPIES, IN_A_ROW, STRANGE = 12, 6, 6, 6
"""How many are shown: labels in doubt, groups of copies, copies of a group, strange images."""

SIDE = 124
"""Pixels of the longer side of a picture."""

SHORT = 12
"""Letters of a digest that name an image without a filename."""


def report(
    product: Product, workspace: str, name: str, version: int, *, pictures: bool = True
) -> str:
    """The answer of `GET /v1/heads/{h}/versions/{v}/report`: how good it is, as a page of HTML.

    Args:
        product: everything that is wired.
        workspace: whose head it is.
        name: the head.
        version: its version.
        pictures: whether images of the dataset, and the names of their files, may be in the page.

    Raises:
        NotFound: there is no such head or version.
    """
    found = find_version(product, workspace, name, version)
    head = product.workspaces[workspace].zoo.load(found.artefact)
    return write_report(
        Subject(
            name,
            version,
            found.dataset,
            found.artefact,
            head.card,
            head.arrays["out_of_fold"],
            head.arrays["truth"],
            _gallery(product, workspace, found, head, pictures=pictures)
            if found.dataset != ELSEWHERE
            else UNKNOWN,
        )
    )


def _gallery(
    product: Product, workspace: str, found: Version, head: Head, *, pictures: bool
) -> Gallery:
    place = product.workspaces[workspace]
    audit = suspects(product, workspace, found.head, found.version, limit=head.card.n_images)
    doubts, groups = audit["suspects"], audit["duplicates"]
    strange = _strange(product, place, found, head)
    known = product.catalog.datasets.describe(workspace, [d for d, _, _ in strange], found.dataset)

    def pictured(digest: str, filename: str | None, said: str) -> Pictured:
        return Pictured(
            (filename or digest[:SHORT]) if pictures else "",
            said,
            _picture(place.blobs, digest) if pictures else None,
        )

    def side_by_side(group: dict[str, Any]) -> list[Pictured]:
        columns = zip(group["digests"], group["filenames"], group["labels"], strict=True)
        return [pictured(d, name, f"labelled {label}") for d, name, label in columns][:IN_A_ROW]

    return Gallery(
        doubted=[
            pictured(s["digest"], s["filename"], f"labelled {s['label']}, looks like {s['likely']}")
            for s in doubts[:DOUBTED]
        ],
        n_doubted=len(doubts),
        copies=[side_by_side(group) for group in (groups or ())[:COPIES]],
        n_copies=None if groups is None else len(groups),
        strange=[
            pictured(d, known[d][1].filename if d in known else None, f"labelled {label}, {usual}")
            for d, label, usual in strange
        ],
    )


def _strange(
    product: Product, place: Workspace, found: Version, head: Head
) -> list[tuple[str, str, str]]:
    """(digest, label, usualness in words) of the least usual images learnt from."""
    if found.space_id != place.space.id:
        return []
    images = product.catalog.heads.training_images(place.name, found.head, found.version)
    records = place.store.get([image.digest for image in images if image.row is not None])
    kept = [image for image in images if image.row is not None and image.digest in records]
    if not kept:
        return []
    vectors = np.stack([records[image.digest].embedding for image in kept])
    usual = head.novelty.p_value(unit_rows(vectors))
    worst = np.argsort(usual, kind="stable")[:STRANGE].tolist()
    return [(kept[i].digest, kept[i].label, f"usualness {usual[i]:.3f}") for i in worst]


def _picture(blobs: Blobs, digest: str) -> bytes | None:
    try:
        return thumbnail(blobs.get(digest), SIDE)
    except FeatureError:
        return None  # its bytes were erased, or never kept
