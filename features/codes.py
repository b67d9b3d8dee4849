"""Which rows of very many are worth looking at, from one bit a number: an inverted file of codes.

Rows are sorted into lists by their nearest centroid, and each is kept as the signs of what is left
(RaBitQ: Gao and Long 2024, SIGMOD, as FAISS builds it). A search looks at the lists nearest to the
query, and hands the likeliest rows on to be scored by their vectors. Most of the best rows are
found, not all: docs/explanation/storage.md says how many. Knows rows and units, no digests and no
files; can always be made again from the units.
"""

import struct
import zlib
from typing import TYPE_CHECKING, cast

import numpy as np

from features.index import Int64, Units, propose, unit
from features.keys import Float32

if TYPE_CHECKING:
    import faiss

FEW = 30_000
"""Rows up to which a scan of them all is quick enough: small filters stay exact."""

PROBED = 64
"""Lists looked at for a query that may find any row."""

CANDIDATES = 400
"""Rows scored by their vectors at least; twenty for each hit where more are wanted."""

_PER_HIT = 20
_QUERY_BITS = 8
"""Bits of each number of the query; with FAISS's own 4 a third of the best rows are lost."""

_SEED = 5
_SAMPLED = 32
"""Rows for each list from which centroids are learnt."""

_ROUNDS = 8
_AT_ONCE = 16_384
_FORMAT = 2
"""What a checksum begins with: a file of another layout is damaged. 2: `learnt` was added."""

_TRAILER = 20


class CodesDamaged(Exception):
    """The bytes are not what was written; codes can always be made again."""


class Codes:
    """Codes of the rows of a mirror from the first up to `covered`, those in between left out.

    A search is a `Proposer`: rows behind `covered` are proposed all. `learnt` is how many rows
    there were when the centroids were learnt.
    """

    def __init__(self, index: "faiss.IndexIVFRaBitQ", covered: int, learnt: int) -> None:
        self._index = index
        self.covered, self.learnt = covered, learnt

    def __len__(self) -> int:
        """Return how many rows have a code."""
        return int(self._index.ntotal)

    @classmethod
    def learn(cls, units: Units, rows: Int64, covered: int) -> "Codes":
        """Learn centroids from a sample of rows, and code all of them: a minute or two a million.

        Args:
            units: the rows' vectors.
            rows: int64 (n,), which to code, ascending; all below `covered`.
            covered: rows up to here are not scanned any more.
        """
        import faiss

        n_lists = 2 ** round(np.log2(2 * np.sqrt(len(rows))))
        sample = np.sort(np.random.default_rng(_SEED).permutation(rows)[: _SAMPLED * n_lists])
        vectors = units(sample)[sample]
        dim = vectors.shape[1]
        kmeans = faiss.Kmeans(dim, n_lists, niter=_ROUNDS, seed=_SEED)
        kmeans.train(vectors)
        quantizer = faiss.IndexFlatL2(dim)
        quantizer.add(np.asarray(kmeans.centroids))
        index = faiss.IndexIVFRaBitQ(quantizer, dim, n_lists, faiss.METRIC_L2)
        index.train(vectors)
        _add(index, units, rows)
        return cls(index, covered, len(rows))

    def extended(self, units: Units, rows: Int64, covered: int) -> "Codes":
        """Return these codes with those of more rows, for the centroids that there are."""
        index = _copy(self._index)
        _add(index, units, rows[rows >= self.covered])
        return Codes(index, covered, self.learnt)

    def without(self, rows: Int64) -> "Codes":
        """Return these codes without those of some rows: nothing of them is left."""
        import faiss

        index, gone = _copy(self._index), np.ascontiguousarray(rows)
        index.remove_ids(faiss.IDSelectorBatch(len(gone), faiss.swig_ptr(gone)))
        return Codes(index, self.covered, self.learnt)

    def coded(self) -> Int64:
        """Return the rows that have a code, ascending: int64 (n,)."""
        import faiss

        lists = self._index.invlists
        assert lists is not None  # noqa: S101  only an index that is being built has none
        found = [
            faiss.rev_swig_ptr(lists.get_ids(number), lists.list_size(number)).copy()
            for number in range(self._index.nlist)
            if lists.list_size(number)
        ]
        return np.sort(np.concatenate(found)) if found else np.empty(0, np.int64)

    def __call__(self, units: Units, rows: Int64, query: Float32, k: int) -> Int64:
        """Propose rows for the k best; see `Proposer`."""
        split = int(np.searchsorted(rows, self.covered))
        if split <= FEW:
            return propose(units, rows, query, k)
        near = self._nearest(rows[:split], query, max(CANDIDATES, _PER_HIT * k))
        return propose(units, np.concatenate((near, rows[split:])), query, k)

    def to_bytes(self) -> bytes:
        """Return everything, with a checksum."""
        import faiss

        data = faiss.serialize_index(self._index).data
        numbers = struct.pack("<QQ", self.covered, self.learnt)
        checksum = zlib.crc32(numbers, zlib.crc32(data, _FORMAT))
        return b"".join((data, numbers, checksum.to_bytes(4, "little")))

    @classmethod
    def from_bytes(cls, data: bytes) -> "Codes":
        """Build codes from what `to_bytes` returned.

        Raises:
            CodesDamaged: it is something else. FAISS is not asked to read what is not its own.
        """
        import faiss

        body = memoryview(data)[:-4]
        if len(data) < _TRAILER or zlib.crc32(body, _FORMAT) != int.from_bytes(data[-4:], "little"):
            raise CodesDamaged
        index = faiss.deserialize_index(np.frombuffer(body[:-16], np.uint8))
        if not isinstance(index, faiss.IndexIVFRaBitQ):
            raise CodesDamaged
        return cls(index, *struct.unpack("<QQ", body[-16:]))

    def _nearest(self, rows: Int64, query: Float32, wanted: int) -> Int64:
        """Return the likeliest of the rows, ascending."""
        import faiss

        faiss.omp_set_num_threads(1)
        asked = faiss.IVFRaBitQSearchParameters()
        asked.qb = _QUERY_BITS
        # The fewer rows may be found, the farther away the best of them lie.
        asked.nprobe = min(self._index.nlist, PROBED * max(1, round(len(self) / len(rows))))
        if len(rows) < len(self):
            allowed = np.zeros(self.covered, np.bool_)
            allowed[rows] = True
            bits = np.packbits(allowed, bitorder="little")
            asked.sel = faiss.IDSelectorBitmap(len(bits), faiss.swig_ptr(bits))
        _, found = self._index.search(unit(query[np.newaxis]), wanted, params=asked)
        likely = np.sort(found[0][found[0] >= 0])
        # Codes may be older than the rows that may be found.
        place = np.minimum(np.searchsorted(rows, likely), len(rows) - 1)
        known: Int64 = likely[rows[place] == likely]
        return known


def _copy(index: "faiss.IndexIVFRaBitQ") -> "faiss.IndexIVFRaBitQ":
    import faiss

    return cast("faiss.IndexIVFRaBitQ", faiss.deserialize_index(faiss.serialize_index(index)))


def _add(index: "faiss.IndexIVFRaBitQ", units: Units, rows: Int64) -> None:
    for start in range(0, len(rows), _AT_ONCE):
        some = rows[start : start + _AT_ONCE]
        index.add_with_ids(units(some)[some], some)
