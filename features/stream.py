"""Images that come one after the other, as engines take them. Knows no backbone and no threads."""

from collections.abc import Callable, Iterator

import numpy as np

from features.errors import EngineFailed
from features.keys import UInt8, Vectors

Take = Callable[[], UInt8 | None]
"""Gives the next image, uint8 (size, size, 3); None where there is none at the moment."""

Alone = Callable[[], bool]
"""Says whether no image is on its way behind those that were taken: one may then have all cores."""


def always() -> bool:
    """Of images that are all there: behind the last one comes none."""
    return True


def in_batches(run: Callable[[UInt8], Vectors], take: Take) -> Iterator[Vectors]:
    """Run whatever there is at a time, until there is nothing: for engines that like many at once.

    Raises:
        EngineFailed: `run` gave another number of vectors.
    """
    while waiting := list(_until_none(take)):
        vectors = run(np.stack(waiting))
        if len(vectors) != len(waiting):
            raise EngineFailed(f"{len(vectors)} vectors for {len(waiting)} images")
        yield vectors


def _until_none(take: Take) -> Iterator[UInt8]:
    while (image := take()) is not None:
        yield image
