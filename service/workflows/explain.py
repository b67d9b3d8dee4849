"""Which places of an image an answer comes from: for each head a heat map that is its score."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from classifiers.contributions import contributions, spread
from classifiers.head import Head
from features.call import Embedded
from features.images import upright_size
from features.keys import EmbeddingSpace, Float32
from features.maps import Maps, regrid
from service.errors import InvalidRequest
from service.panel import Asked
from service.product import Product, Upload

MAX_IMAGES = 8
MAX_HEADS = 8
"""An explanation takes longer than an answer, and is some kilobytes of JSON."""


def check_number(images: int, heads: int) -> None:
    """Refuse to explain too much at once, before anything is looked at.

    Raises:
        InvalidRequest: there are too many images, or too many heads.
    """
    for what, number, most in (("images", images, MAX_IMAGES), ("heads", heads, MAX_HEADS)):
        if number > most:
            raise InvalidRequest(
                f"{number} {what} to explain; at most {most} are explained in one request.",
                hint="Send fewer images, and name the heads to ask.",
            )


def add_explanations(
    product: Product,
    workspace: str,
    asked: Sequence[Asked],
    upload: Upload,
    embedded: Embedded,
    result: dict[str, Any],
) -> None:
    """Adds to each prediction of one image why its head gives this answer.

    Args:
        product: everything that is wired.
        workspace: whose heads.
        asked: the heads, in the order of the predictions.
        upload: the image.
        embedded: its vectors, which the predictions were made from.
        result: what was answered for the image; its predictions get an `explanation`, null where
            the head has failed, and those of several labels `explanations`.

    Raises:
        NoMaps: the backbone does not tell places apart.
    """
    with product.metrics.timed("explain"):
        maps = product.embedder.maps(upload.data, upload.filename)
        crop = _crop(product, upload)
        row = embedded.row
        for prediction, one in zip(result["predictions"], asked, strict=True):
            prediction["explanation"] = None
            if one.able is not None:
                head = product.served(workspace).whole(one)
                found = [
                    {**each, "crop": crop} for each in _explained(head, product.space, row, maps)
                ]
                prediction["explanation"] = found[0]
                if one.able.question.task == "multilabel":
                    prediction["explanations"] = found


def _explained(
    head: Head, space: EmbeddingSpace, row: Float32, maps: Maps
) -> Iterator[dict[str, Any]]:
    parts = {block.name: part for block, part in zip(space.blocks, maps.blocks, strict=True)}
    for found in contributions(head, row):
        layers = spread(head, row, found, parts).values()
        grid = np.sum([regrid(layer, maps.side) for layer in layers], axis=0)
        yield {
            "of": found.of,
            "against": found.against,
            "unit": found.unit,
            "base": found.base,
            "score": found.score,
            "grid": grid.tolist(),
        }


def _crop(product: Product, upload: Upload) -> dict[str, float]:
    """The square that was looked at, in pixels of the image set upright."""
    width, height = upright_size(upload.data, product.embedder.limits)
    left, top, side = product.space.preprocessing.square(width, height)
    return {"width": width, "height": height, "left": left, "top": top, "side": side}
