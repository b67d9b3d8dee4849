"""An image gone for good, from every space: the intent is noted first, a restart finishes it."""

import time
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import structlog

from features.blobs import Blobs
from features.keys import EmbeddingSpace, is_digest
from features.store import FeatureStore
from features.writer import LINGER_S
from service.catalog import SYSTEM
from service.errors import ErasurePending, InvalidRequest, NotFound
from service.product import Product
from service.workspace import IMAGES

log = structlog.get_logger("erase")

SECOND_LOOK_S = LINGER_S + 0.5
"""How long after the first an erasure looks a second time.

Another worker may be about to store what it saw just before: it waits so long, and then appends.
"""


def erase(product: Product, workspace: str, digest: str, *, actor: str = SYSTEM) -> dict[str, Any]:
    """Erases an image from datasets, bytes, and the records and index of every space.

    Returns:
        The answer of `DELETE /v1/images/{digest}`: what was removed and the heads trained on it.

    Raises:
        NotFound: the workspace has nothing of this image.
        ErasurePending: it is gone, but for deleted rows in the catalog's log.
    """
    if not is_digest(digest):
        raise InvalidRequest(
            f"'{digest[:80]}' is not a digest.",
            hint="A digest is 64 lower-case hexadecimal digits.",
        )
    product.embedder.flush()
    place = product.workspaces[workspace]
    with place.erasing() as alone:
        with _every_store(product, workspace) as stores:
            stored = place.blobs.has(digest) or any(digest in store for store in stores)
        entries, trained = product.catalog.begin_erasure(
            workspace, digest, stored=stored, actor=actor
        )
        late = _remove(product, workspace, [digest])
        known = bool(stored or entries or trained)
        if late and not known:
            noted = {"datasets": 0, "heads": []}
            product.catalog.audit.add(workspace, actor, "image.erase", digest, "done", noted)
        alone()
        try:
            product.catalog.finish_erasures(workspace, [digest])
        except ErasurePending as error:
            raise ErasurePending([f"{name}@{version}" for name, version in trained]) from error
    if not (known or late):
        raise NotFound("image", digest, hint="Nothing of it is stored here, or not any more.")
    return {
        "digest": digest,
        "erased": True,
        "datasets": entries,
        "heads": [{"head": name, "version": version} for name, version in trained],
    }


def erase_all(product: Product, workspace: str, note: Callable[[], Collection[str]]) -> int:
    """Removes images for good; safe to repeat.

    Args:
        product: everything that is wired.
        workspace: whose images.
        note: notes in the catalog which are to go, or finds such notes, and returns them.

    Returns:
        How many.

    Raises:
        ErasurePending: they are gone, but for deleted rows in the catalog's log.
    """
    with product.workspaces[workspace].erasing() as alone:
        digests = note()
        if digests:
            _remove(product, workspace, digests)
            alone()
            product.catalog.finish_erasures(workspace, digests)
    return len(digests)


def _remove(product: Product, workspace: str, digests: Collection[str]) -> set[str]:
    """Bytes and vectors; returns what another worker has stored since the first look."""
    came_late = set[str]()
    product.embedder.flush()
    with _every_store(product, workspace) as stores:
        for store in stores:
            store.delete(digests)
        time.sleep(SECOND_LOOK_S)
        for store in stores:
            if late := [digest for digest in digests if digest in store]:
                store.delete(late)
                came_late.update(late)
    for digest in digests:
        product.workspaces[workspace].blobs.delete(digest)
    return came_late


def resume(product: Product) -> int:
    """Finishes what a crash interrupted: erasures, and images that never got their row.

    Returns:
        How many images are gone.
    """
    return finish_open(product) + sum(
        _forget_abandoned(product, workspace) for workspace in product.catalog.workspaces()
    )


def finish_open(product: Product) -> int:
    """Finishes erasures that were noted and not finished; returns how many images are gone."""

    def noted(workspace: str) -> set[str]:
        return {digest for whose, digest in product.catalog.open_erasures() if whose == workspace}

    concerned = sorted({workspace for workspace, _ in product.catalog.open_erasures()})
    return sum(_finished(product, workspace, partial(noted, workspace)) for workspace in concerned)


def _forget_abandoned(product: Product, workspace: str) -> int:
    with Blobs(product.settings.home / IMAGES / workspace).abandoned() as digests:
        if not digests:
            return 0
        return _finished(
            product, workspace, partial(product.catalog.erase_strays, workspace, digests)
        )


def _finished(product: Product, workspace: str, note: Callable[[], Collection[str]]) -> int:
    """How many images are gone: none, where the catalog's log is read; then it is tried again."""
    try:
        return erase_all(product, workspace, note)
    except ErasurePending as error:
        log.warning("erased images are not wiped off yet", reason=error.detail)
        return 0


@contextmanager
def _every_store(product: Product, workspace: str) -> Iterator[list[FeatureStore]]:
    """The records of a workspace in every space that it ever had: that of an old backbone too."""
    place = product.workspaces[workspace]
    noted = product.catalog.spaces.all(workspace)
    with ExitStack() as opened:
        yield [
            opened.enter_context(place.store_in(EmbeddingSpace.from_dict(description)))
            for description in noted.values()
        ]
