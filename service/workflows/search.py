"""Similar images: filters first, hits joined with the catalog."""

from collections.abc import Collection, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from features.call import Embedded
from features.selection import Selection
from service.catalog import Labelled
from service.errors import InvalidRequest
from service.names import check_text
from service.product import Product, Upload


def search_image(
    product: Product,
    workspace: str,
    image: Upload,
    *,
    k: int,
    dataset: str | None,
    label: str | None,
) -> dict[str, Any]:
    """The nearest images to one whose bytes were sent; nothing of it is kept."""
    place = product.workspaces[workspace]
    found = product.embedder.embed([(image.filename, image.data)], place.store, remember="no")[0]
    if not isinstance(found, Embedded):
        raise found
    return _search(product, workspace, found.embedding, k, dataset, label, exclude=found.digest)


def search_known(
    product: Product,
    workspace: str,
    *,
    digest: str | None,
    vector: Sequence[float] | None,
    k: int,
    dataset: str | None,
    label: str | None,
) -> dict[str, Any]:
    """The nearest images to a known one, or to a vector of this space: exactly one of the two."""
    if (digest is None) == (vector is None):
        raise InvalidRequest(
            "A search needs exactly one of digest and vector.", hint="Or send an image as a form."
        )
    if digest is not None:
        store = product.workspaces[workspace].store
        product.embedder.settle(store, [digest])
        query = store.rows([digest]).embeddings[0]
        return _search(product, workspace, query, k, dataset, label, exclude=digest)
    query = np.asarray(vector, dtype=np.float32)
    if query.shape != (product.space.dim,) or not np.isfinite(query).all() or not query.any():
        raise InvalidRequest(
            f"The vector must be {product.space.dim} finite numbers, not all zero.",
            hint="POST /v1/embed gives vectors of this space.",
        )
    return _search(product, workspace, query, k, dataset, label)


def _search(
    product: Product,
    workspace: str,
    query: npt.NDArray[np.float32],
    k: int,
    dataset: str | None,
    label: str | None,
    exclude: str | None = None,
) -> dict[str, Any]:
    label = check_text("label", label)  # as it is written when it is given
    hits = product.workspaces[workspace].store.search(
        query,
        k,
        among=_selection(product, workspace, dataset, label),
        exclude=() if exclude is None else (exclude,),
    )
    found = [h.digest for h in hits]
    known = product.catalog.datasets.describe(workspace, found, dataset, label)
    return {
        "space": product.space.id,
        "hits": [
            {"digest": h.digest, "score": h.score, **_described(known.get(h.digest))} for h in hits
        ],
    }


def _selection(
    product: Product, workspace: str, dataset: str | None, label: str | None
) -> Collection[str] | Selection | None:
    """What may be found; None is everything."""
    if dataset is None and label is None:
        return None
    # Asked before the digests are: what is kept under a number is never older than that.
    changes = product.catalog.database.changes()
    digests = partial(product.catalog.datasets.digests, workspace, dataset, label)
    return digests() if changes is None else Selection((changes, dataset, label), digests)


def _described(entry: tuple[str, Labelled] | None) -> dict[str, Any]:
    if entry is None:
        return {"filename": None, "dataset": None, "label": None, "group": None}
    dataset, image = entry
    return {
        "filename": image.filename,
        "dataset": dataset,
        "label": image.label,
        "group": image.group,
    }
