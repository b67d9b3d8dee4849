"""An image gone for good: the intent is noted first, and a restart finishes the rest."""

import time
from collections.abc import Collection
from typing import Any

from features.keys import is_digest
from service.errors import InvalidRequest, NotFound
from service.product import Product

SECOND_LOOK_S = 0.5
"""How long after the first an erasure looks a second time."""


def erase(product: Product, workspace: str, digest: str) -> dict[str, Any]:
    """Erases an image from datasets, bytes, records and index.

    Returns:
        The answer of `DELETE /v1/images/{digest}`: what was removed and the heads trained on it.

    Raises:
        NotFound: the workspace has nothing of this image.
    """
    if not is_digest(digest):
        raise InvalidRequest(
            f"'{digest[:80]}' is not a digest.",
            hint="A digest is 64 lower-case hexadecimal digits.",
        )
    product.embedder.flush()
    place = product.workspaces[workspace]
    stored = digest in place.store or place.blobs.has(digest)
    entries, trained = product.catalog.begin_erasure(workspace, digest)
    finish_erasures(product, workspace, [digest])
    if not (stored or entries or trained):
        raise NotFound("image", digest, hint="Nothing of it is stored here, or not any more.")
    return {
        "digest": digest,
        "erased": True,
        "datasets": entries,
        "heads": [{"head": name, "version": version} for name, version in trained],
    }


def finish_erasures(product: Product, workspace: str, digests: Collection[str]) -> None:
    """Removes what is left of images whose erasure was noted; safe to repeat."""
    if not digests:
        return
    product.embedder.flush()
    place = product.workspaces[workspace]
    place.store.delete(digests)
    # Another worker may be about to store what it saw just before: it waits a quarter of a second.
    time.sleep(SECOND_LOOK_S)
    if late := [digest for digest in digests if digest in place.store]:
        place.store.delete(late)
    for digest in digests:
        place.blobs.delete(digest)
    product.catalog.finish_erasures(workspace, digests)


def resume(product: Product) -> int:
    """Finishes the erasures that a crash interrupted; returns how many there were."""
    open_erasures = product.catalog.open_erasures()
    for workspace in {w for w, _ in open_erasures}:
        finish_erasures(product, workspace, [d for w, d in open_erasures if w == workspace])
    return len(open_erasures)
