"""What a search should find: every vector looked at, a part of them at a time."""

from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.speed.stores import Which, allowed
from benchmarks.speed.vectors import Float32, Int64, Views


class Exact:
    """The nearest of so many vectors, by a product of matrices; needs little memory.

    Args:
        views: file of real views.
        dim: of the vectors.
        count: how many.
        queries: a file of float32 (n, dim).
    """

    def __init__(self, views: str, dim: int, count: int, queries: str) -> None:
        self._views, self._dim, self._count = Views(Path(views), dim), dim, count
        self._queries = units(np.load(queries, allow_pickle=False))

    def __call__(self, k: int, filters: dict[str, Which]) -> dict[str, Any]:
        """For each filter and query, the numbers of the k nearest."""
        best = {name: Best(len(self._queries), k) for name in filters}
        images = len(self._views.stored)
        for part in self._views.parts(self._count):
            numbers = np.arange(part.start, part.start + len(part.matrix))
            scores = self._queries @ units(part.matrix[:, : self._dim]).T
            for name, which in filters.items():
                may = allowed(which, numbers, part.image, images)
                best[name].add(scores[:, may], numbers[may])
        return {name: found.numbers.tolist() for name, found in best.items()}


class Best:
    """The k best so far. numbers: int64 (queries, k), in no order."""

    def __init__(self, queries: int, k: int) -> None:
        self._k = k
        self._scores: Float32 = np.empty((queries, 0), np.float32)
        self.numbers: Int64 = np.empty((queries, 0), np.int64)

    def add(self, scores: Float32, numbers: Int64) -> None:
        """Take in more: float32 (queries, n), and the number of each of the n."""
        if not len(numbers):
            return
        every = np.concatenate((self._scores, scores), axis=1)
        those = np.broadcast_to(numbers, scores.shape)
        named = np.concatenate((self.numbers, those), axis=1)
        some = min(self._k, every.shape[1])
        place = np.argpartition(-every, some - 1, axis=1)[:, :some]
        self._scores = np.take_along_axis(every, place, axis=1)
        self.numbers = np.take_along_axis(named, place, axis=1)


def units(vectors: Float32) -> Float32:
    """Each scaled to length 1."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.ascontiguousarray(vectors / lengths, np.float32)
