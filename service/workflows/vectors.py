"""The vectors that heads learn from, in any space: known ones are read, others made from bytes."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from features.call import Embedded
from features.embedder import Embedder
from features.errors import UnknownDigest
from features.keys import Vectors
from features.store import FeatureStore
from service.errors import LabelsNotReady
from service.product import Product

Report = Callable[[str, float], None]
"""Told (stage, progress 0 to 1); raises TrainingCancelled where the work should stop."""

BATCH = 64


def complete(
    product: Product,
    workspace: str,
    digests: Sequence[str],
    embedder: Embedder,
    store: FeatureStore,
    report: Report,
) -> npt.NDArray[np.float32]:
    """X: float32 (n_images, width), from the records; what is missing there from the bytes.

    Args:
        product: everything that is wired.
        workspace: whose images they are.
        digests: of images that a dataset holds.
        embedder: of the store's space.
        store: where vectors are looked up and remembered.
        report: told before every batch.

    Raises:
        LabelsNotReady: images were erased meanwhile.
    """
    missing = [d for d in digests if d not in store]
    try:
        for start in range(0, len(missing), BATCH):
            report("embedding", start / len(missing))
            _embed(product, workspace, missing[start : start + BATCH], embedder, store)
        report("reading vectors", 1.0)
        vectors: Vectors = store.rows(digests)
    except UnknownDigest as error:
        raise LabelsNotReady(
            f"{len(error.digests)} images were erased meanwhile.", hint="Ask again."
        ) from error
    return vectors.matrix()


def _embed(
    product: Product,
    workspace: str,
    digests: Sequence[str],
    embedder: Embedder,
    store: FeatureStore,
) -> None:
    blobs = product.workspaces[workspace].blobs
    files = [(d, blobs.get(d)) for d in digests]
    for found in embedder.embed(files, store, remember="now"):
        if not isinstance(found, Embedded):
            raise found
    # An erasure takes the image out of the datasets first: one that began before this line is seen
    # here, and a later one finds the record.
    if gone := set(digests) - product.catalog.datasets.digests(workspace):
        store.delete(gone)
        raise UnknownDigest(sorted(gone))
