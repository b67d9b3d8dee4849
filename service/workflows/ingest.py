"""Labelled files into a dataset: known, new or rejected with a reason; in = out, safe to repeat."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import structlog

from features.call import Embedded
from features.errors import FeatureError, ImageRejected
from features.keys import Vectors, digest
from service.catalog import SYSTEM, Labelled
from service.errors import InvalidRequest, ServiceError
from service.names import check_name, check_text, clean_filename
from service.problems import problem
from service.product import Product
from service.workflows.erase import erase_all
from service.workspace import Workspace

log = structlog.get_logger("ingest")

BATCH = 128
BATCH_BYTES = 64 * 2**20
"""How much is made durable together, at most: an append to the records, a commit to the catalog and
their flushes cost the same for one image and for a hundred. In memory is little more than this.
"""


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
        "labels": product.catalog.datasets.label_counts(workspace, dataset),
        "images": entries,
    }


def _ingest_batch(
    product: Product, workspace: str, dataset: str, batch: list[LabelledUpload], actor: str
) -> list[dict[str, Any]]:
    place = product.workspaces[workspace]
    texts = [_checked(upload) for upload in batch]
    digests = [digest(upload.data) for upload in batch]
    contents = {name: upload.data for name, upload in zip(digests, batch, strict=True)}
    with place.blobs.adding(contents), place.blobs.putting(contents) as keep:
        embedded = _embedded(product, place, batch, digests)
        if isinstance(embedded, FeatureError):
            new = set[str]()
        else:
            good = [
                replace(text, digest=found.digest)
                for text, found in zip(texts, embedded, strict=True)
                if isinstance(found, Embedded) and isinstance(text, Labelled)
            ]
            new = _keep(product, place, dataset, good, keep, actor)
            _heal(place, good, embedded, contents)
    if isinstance(embedded, FeatureError):
        raise embedded
    return [
        _entry(upload, text, found, new)
        for upload, text, found in zip(batch, texts, embedded, strict=True)
    ]


def _embedded(
    product: Product, place: Workspace, batch: list[LabelledUpload], digests: list[str]
) -> list[Embedded | ImageRejected] | FeatureError:
    """What was seen; a failure is given back, for nothing was kept that had to be noted."""
    images = [(upload.filename, upload.data) for upload in batch]
    try:
        return product.embedder.embed(images, place.store, remember="now", digests=digests)
    except FeatureError as error:
        return error


def _keep(
    product: Product,
    place: Workspace,
    dataset: str,
    good: list[Labelled],
    keep: Callable[[Collection[str]], None],
    actor: str,
) -> set[str]:
    """Makes a batch durable, bytes first and rows last; returns what the dataset did not hold."""
    digests = {image.digest for image in good}
    try:
        keep(digests)
        added, _ = product.catalog.datasets.add(place.name, dataset, good, actor=actor)
    except Exception:
        _withdraw(product, place, digests)
        raise
    return set(added)


def _withdraw(product: Product, place: Workspace, digests: set[str]) -> None:
    """Takes back what was written of images that no dataset holds."""
    try:
        erase_all(product, place.name, partial(product.catalog.erase_strays, place.name, digests))
    except (FeatureError, ServiceError) as error:
        # The next start does it: it knows from the note that this block has not ended well.
        log.warning("bytes that no dataset holds were not taken back", reason=str(error))


def _heal(
    place: Workspace,
    good: Sequence[Labelled],
    embedded: Sequence[Embedded | ImageRejected],
    contents: Mapping[str, bytes],
) -> None:
    """Puts back what an erasure that ended between our writes has taken away again."""
    rows = {found.digest: found for found in embedded if isinstance(found, Embedded)}
    for name in {image.digest for image in good}:
        if name not in place.store:
            found = rows[name]
            vectors = Vectors(found.embedding[np.newaxis], found.stages[np.newaxis])
            place.store.put([name], vectors)
        if not place.blobs.has(name):
            place.blobs.put(contents[name])


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
    """Few enough at a time to be held in memory; one file may be as large as it likes."""
    batch: list[LabelledUpload] = []
    size = 0
    for upload in uploads:
        if len(batch) == BATCH or (batch and size + len(upload.data) > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(upload)
        size += len(upload.data)
    if batch:
        yield batch
