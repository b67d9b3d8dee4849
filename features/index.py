"""Nearest neighbours by cosine, with FAISS. Exact. Knows rows and vectors, no digests and no files.

FAISS proposes, in float32, every row that could be among the k best; the caller scores these again
with `cosines` from what is on record. So the answer does not depend on where a row lies or how a
processor adds, and equal vectors have equal scores. Where the scan of all rows takes too long
(100,000 rows: about 20 ms), `codes` has a quicker `Proposer`.
"""

from collections.abc import Callable
from typing import Protocol

import numpy as np
import numpy.typing as npt

from features.keys import Float32

MARGIN = 2e-5
"""More than float32 can be wrong by in the cosine of two vectors of some thousand dimensions."""

_SPARE = 16
"""Rows asked for beyond k, so that the end of a tie is usually seen at once."""

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]


Units = Callable[[Int64], Float32]
"""Given rows that will be looked at, all units: float32 (n, dim), each of length 1 or 0."""


class Proposer(Protocol):
    """Finds rows worth scoring."""

    def __call__(self, units: Units, rows: Int64, query: Float32, k: int) -> Int64:
        """Return rows among which the k best are, ties for the last place included.

        Args:
            units: gives the vectors.
            rows: int64 (m,), the rows that may be found, ascending.
            query: float32 (dim,).
            k: how many hits are wanted, at least 1.
        """


def propose(units: Units, rows: Int64, query: Float32, k: int) -> Int64:
    """Propose by scanning all allowed rows; see `Proposer`."""
    vectors, target = units(rows), unit(query[np.newaxis])
    wanted = k + _SPARE
    while wanted < len(rows):
        scores, found = _scan(vectors, rows, target, wanted)
        enough = scores[k - 1] - MARGIN
        if scores[-1] < enough:
            close: Int64 = found[scores >= enough]
            return close
        wanted *= 4
    return rows


def unit(vectors: Float32) -> Float32:
    """Scale rows to length 1, float32 (n, dim); a row of zeros stays as it is."""
    wide = vectors.astype(np.float64)
    lengths = np.sqrt(np.einsum("ij,ij->i", wide, wide))[:, np.newaxis]
    scaled: Float32 = np.divide(wide, lengths, out=wide, where=lengths > 0).astype(np.float32)
    return scaled


def cosines(vectors: Float32, query: Float32) -> Float64:
    """Return the cosine of each row with the query: float64 (n,), 0 where a vector is 0.

    Each row is summed on its own and in the same order, so equal rows have equal cosines.
    """
    wide, target = vectors.astype(np.float64), query.astype(np.float64)
    lengths = np.sqrt((wide * wide).sum(axis=1) * (target * target).sum())
    products = (wide * target).sum(axis=1)
    scores: Float64 = np.divide(products, lengths, out=np.zeros(len(wide)), where=lengths > 0)
    return np.clip(scores, -1.0, 1.0)


def _scan(units: Float32, rows: Int64, target: Float32, k: int) -> tuple[Float32, Int64]:
    """Return the k best inner products and their rows, best first."""
    import faiss

    # One query is the work of one thread; the number is kept per thread, so it is said each time.
    faiss.omp_set_num_threads(1)
    scores, found = np.empty(k, np.float32), np.empty(k, np.int64)
    pointer = faiss.swig_ptr
    # Given the rows as an array, FAISS takes four at a time: 3 times as fast as its plain search.
    selector = faiss.IDSelectorArray(len(rows), pointer(rows))
    faiss.knn_inner_product(
        pointer(target),
        pointer(units),
        units.shape[1],
        1,
        len(units),
        k,
        pointer(scores),
        pointer(found),
        selector,
    )
    return scores, found
