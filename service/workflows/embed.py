"""The vectors of images, in the order sent, as JSON or as an Arrow table."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from features import arrow
from features.call import Embedded
from features.keys import EmbeddingSpace
from service.errors import NothingAnswered
from service.problems import problem
from service.product import Product, Upload

ARROW = arrow.MEDIA_TYPE


def embed(product: Product, workspace: str, images: Sequence[Upload]) -> dict[str, Any]:
    """The answer of `POST /v1/embed`; a bad image has its error in its own place.

    Raises:
        NothingAnswered: all of them are bad.
    """
    found = _found(product, workspace, images)
    entries = [_entry(image, each) for image, each in zip(images, found, strict=True)]
    answer = {"space": _described(product.space), "embeddings": entries}
    errors = [entry["error"] for entry in entries]
    if all(errors):
        raise NothingAnswered(answer, errors)
    return answer


def embed_arrow(product: Product, workspace: str, images: Sequence[Upload]) -> bytes:
    """The same as an Arrow stream.

    Raises:
        ImageRejected: one is bad: a column of vectors has no place for an error.
    """
    good = []
    for each in _found(product, workspace, images):
        if not isinstance(each, Embedded):
            raise each
        good.append(each)
    matrix = np.stack([each.embedding for each in good])
    return arrow.to_stream(product.space, [each.digest for each in good], matrix)


@lru_cache(maxsize=1)
def _described(space: EmbeddingSpace) -> dict[str, Any]:
    return {"id": space.id, **space.to_dict()}


def _found(
    product: Product, workspace: str, images: Sequence[Upload]
) -> Sequence[Embedded | Exception]:
    store = product.workspaces[workspace].store
    return product.embedder.embed([(i.filename, i.data) for i in images], store)


def _entry(image: Upload, found: Embedded | Exception) -> dict[str, Any]:
    if isinstance(found, Embedded):
        return {
            "filename": image.filename,
            "digest": found.digest,
            "vector": found.embedding.astype(np.float64),  # every digit of it
            "cached": found.cached,
            "error": None,
        }
    return {
        "filename": image.filename,
        "digest": None,
        "vector": None,
        "cached": False,
        "error": problem(found),
    }
