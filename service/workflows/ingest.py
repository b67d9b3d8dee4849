"""Labelled files into a dataset: known, new or rejected with a reason; in = out, safe to repeat."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy as np
import structlog

from features.embedder import Embedded
from features.errors import FeatureError
from features.keys import Vectors
from service.catalog import SYSTEM, Labelled
from service.errors import InvalidRequest, ServiceError
from service.names import check_name, check_text, clean_filename
from service.problems import problem
from service.product import Product
from service.workspace import Workspace

log = structlog.get_logger("ingest")

BATCH = 64
"""Images that are made durable together."""


@dataclass(frozen=True, slots=True)
class LabelledUpload:
    """One file with what was said of it.

    Args:
        filename: as the client named it.
        data: its bytes.
        label: what it shows, if that is known.
        group: what ties it to others.
        split: `train`, `test` or None.
    """

    filename: str | None
    data: bytes
    label: str | None = None
    group: str | None = None
    split: str | None = None


def ingest(
    product: Product,
    workspace: str,
    dataset: str,
    uploads: Iterable[LabelledUpload],
    *,
    actor: str = SYSTEM,
) -> dict[str, Any]:
    """Adds files to a dataset, which is made if it is new; all that it counts is durable.

    Args:
        product: everything that is wired.
        workspace: whose dataset.
        dataset: its name.
        uploads: the files, read as they are needed.
        actor: who sent them.

    Returns:
        The answer of `POST /v1/datasets/{d}/images`.
    """
    check_name("dataset", dataset)
    states: Counter[str] = Counter()
    entries: list[dict[str, Any]] = []
    rejected: list[dict[str, Any]] = []
    for batch in _batches(uploads):
        for entry in _ingest_batch(product, workspace, dataset, batch, actor):
            if "code" in entry:
                rejected.append(entry)
            else:
                states[entry["state"]] += 1
                entries.append(entry)
    # Only now: an archive that is refused leaves no trace.
    product.catalog.datasets.add(workspace, dataset, [], actor=actor)
    return {
        "dataset": dataset,
        "added": states["added"],
        "known": states["known"],
        "rejected": rejected,
        "labels": product.catalog.datasets.summary(workspace, dataset).labels,
        "images": entries,
    }


def _ingest_batch(
    product: Product, workspace: str, dataset: str, batch: list[LabelledUpload], actor: str
) -> list[dict[str, Any]]:
    place = product.workspaces[workspace]
    texts = [_checked(upload) for upload in batch]
    embedded = product.embedder.embed(
        [(u.filename, u.data) for u in batch], place.store, remember="now"
    )
    good: list[Labelled] = []
    kept: list[tuple[Embedded, bytes]] = []
    for upload, text, found in zip(batch, texts, embedded, strict=True):
        if isinstance(found, Embedded) and isinstance(text, Labelled):
            kept.append((found, upload.data))
            good.append(replace(text, digest=found.digest))
    new = _keep(product, place, dataset, good, kept, actor)
    return [
        _entry(upload, text, found, new)
        for upload, text, found in zip(batch, texts, embedded, strict=True)
    ]


def _keep(
    product: Product,
    place: Workspace,
    dataset: str,
    good: list[Labelled],
    kept: Sequence[tuple[Embedded, bytes]],
    actor: str,
) -> set[str]:
    """Makes a batch durable, bytes first and rows last; returns what the dataset did not hold."""
    digests = {image.digest for image in good}
    with place.blobs.adding(digests):
        try:
            for _, data in kept:
                place.blobs.put(data)
            added, _ = product.catalog.datasets.add(place.name, dataset, good, actor=actor)
        except Exception:
            _withdraw(product, place, digests)
            raise
        _heal(place, kept)
    return set(added)


def _withdraw(product: Product, place: Workspace, digests: set[str]) -> None:
    """Takes back what was written of images that no dataset holds."""
    try:
        strangers = digests - product.catalog.datasets.digests(place.name)
        for digest in strangers:
            place.blobs.delete(digest)
        place.store.delete(strangers)
    except (FeatureError, ServiceError) as error:
        # The next start does it: it knows from the note that this block has not ended well.
        log.warning("bytes that no dataset holds were not taken back", reason=str(error))


def _heal(place: Workspace, kept: Sequence[tuple[Embedded, bytes]]) -> None:
    """Puts back what an erasure that ended between our writes has taken away again."""
    for found, data in kept:
        if found.digest not in place.store:
            vectors = Vectors(found.embedding[np.newaxis], found.stages[np.newaxis])
            place.store.put([found.digest], vectors)
        if not place.blobs.has(found.digest):
            place.blobs.put(data)


def _entry(
    upload: LabelledUpload, text: Labelled | Exception, found: object, new: set[str]
) -> dict[str, Any]:
    for outcome in (found, text):
        if isinstance(outcome, Exception):
            said = problem(outcome)
            return {
                "filename": upload.filename,
                "code": said["code"],
                "detail": getattr(outcome, "detail", said["detail"]),
                "hint": said["hint"],
            }
    assert isinstance(found, Embedded)  # noqa: S101 - it is either that or an exception
    state = "added" if found.digest in new else "known"
    new.discard(found.digest)
    return {"filename": upload.filename, "digest": found.digest, "state": state}


def _checked(upload: LabelledUpload) -> Labelled | Exception:
    """What was said of a file, checked; an exception in its place where it cannot be kept."""
    try:
        split = check_text("split", upload.split)
        if split not in (None, "train", "test"):
            return InvalidRequest(f"'{split}' is not a split.", hint="Use train or test.")
        return Labelled(
            digest="",
            label=check_text("label", upload.label),
            group=check_text("group", upload.group),
            split=split,
            filename=clean_filename(upload.filename),
        )
    except InvalidRequest as error:
        return error


def _batches(uploads: Iterable[LabelledUpload]) -> Iterator[list[LabelledUpload]]:
    waiting = iter(uploads)
    while batch := list(islice(waiting, BATCH)):
        yield batch
