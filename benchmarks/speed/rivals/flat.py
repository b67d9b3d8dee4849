"""Search as one writes it with FAISS (a flat index, exact) or LanceDB (a table)."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.speed.homes import made_vectors

Float32 = npt.NDArray[np.float32]


PROBED, REFINED = 64, 20
"""Partitions looked at, and how many times as many hits are scored by their vectors: the product's
own numbers, so that both have a like recall."""


class Faiss:
    """`IndexFlatIP` over vectors of length 1.

    Args:
        width: of the made-up rows, of which the first `dim` numbers are searched.
        dim: of the vectors.
        count: how many.
        queries: a file of float32 (n, dim).
        threads: that one search may use; 0 for all, as it comes.
    """

    def __init__(self, width: int, dim: int, count: int, queries: str, threads: int) -> None:
        import faiss

        if threads:
            faiss.omp_set_num_threads(threads)
        self._index = faiss.IndexFlatIP(dim)
        for _, part in made_vectors(width, count):
            self._index.add(_units(part[:, :dim]))
        self._queries = _units(np.load(queries, allow_pickle=False))

    def __call__(self, k: int, first: int, count: int) -> dict[str, Any]:
        """Seconds of each query, and what was found for each."""
        seconds, found = [], []
        for query in self._queries[first : first + count]:
            start = time.perf_counter()
            _, rows = self._index.search(query[np.newaxis], k)
            seconds.append(time.perf_counter() - start)
            found.append(rows[0].tolist())
        return {"seconds": seconds, "found": found}


class Lance:
    """A LanceDB table in a folder, with every thread it likes; otherwise as `Faiss`.

    `indexed` has an IVF_PQ index made, else every vector is looked at.
    """

    def __init__(
        self, width: int, dim: int, count: int, queries: str, folder: str, *, indexed: bool
    ) -> None:
        import lancedb
        import pyarrow as pa

        kind = pa.schema([("number", pa.int64()), ("vector", pa.list_(pa.float32(), dim))])
        self._table = lancedb.connect(Path(folder)).create_table("vectors", schema=kind)
        for start, part in made_vectors(width, count):
            numbers = pa.array(range(start, start + len(part)))
            flat = pa.array(_units(part[:, :dim]).reshape(-1))
            vectors = pa.FixedSizeListArray.from_arrays(flat, dim)
            self._table.add(pa.table([numbers, vectors], schema=kind))
        self._indexed = indexed
        if indexed:  # partitions and parts as its documentation advises
            self._table.create_index("cosine", round(count**0.5), dim // 16)
        self._queries = _units(np.load(queries, allow_pickle=False))

    def __call__(self, k: int, first: int, count: int) -> dict[str, Any]:
        """Seconds of each query, and what was found for each."""
        seconds, found = [], []
        for query in self._queries[first : first + count]:
            start = time.perf_counter()
            asked = self._table.search(query).distance_type("cosine").limit(k)
            if self._indexed:
                asked = asked.nprobes(PROBED).refine_factor(REFINED)
            hits = asked.to_arrow()
            seconds.append(time.perf_counter() - start)
            found.append(hits["number"].to_pylist())
        return {"seconds": seconds, "found": found}


def _units(vectors: Float32) -> Float32:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.ascontiguousarray(vectors / lengths, np.float32)
