"""Search as one writes it with FAISS (a flat index, exact) or LanceDB (a table)."""

import json
import math
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.speed.exact import units
from benchmarks.speed.stores import BUILT, Which, seconds
from benchmarks.speed.vectors import Views


class Faiss:
    """`IndexFlatIP` over vectors of length 1.

    Args:
        views: file of real views.
        dim: of the vectors.
        count: how many.
        queries: a file of float32 (n, dim).
        threads: that one search may use; 0 for all, as it comes.
    """

    def __init__(self, views: str, dim: int, count: int, queries: str, threads: int) -> None:
        import faiss

        if threads:
            faiss.omp_set_num_threads(threads)
        self._index = faiss.IndexFlatIP(dim)
        for part in Views(Path(views), dim).parts(count):
            self._index.add(units(part.matrix[:, :dim]))
        self._queries = units(np.load(queries, allow_pickle=False))

    def __call__(self, k: int, first: int, count: int) -> dict[str, Any]:
        """Seconds of each query, and what was found for each."""
        took, found = [], []
        for query in self._queries[first : first + count]:
            start = time.perf_counter()
            _, rows = self._index.search(query[np.newaxis], k)
            took.append(time.perf_counter() - start)
            found.append(rows[0].tolist())
        return {"seconds": took, "found": found}


class Lance:
    """A LanceDB table in a folder, with every thread it likes.

    `indexed` has an index made of codes of one bit a number, as the product's are, and otherwise of
    its defaults; else every vector is looked at. What was made before is used again.
    """

    def __init__(
        self, views: str, dim: int, count: int, queries: str, folder: str, *, indexed: bool
    ) -> None:
        import lancedb

        self._views, self._dim = Views(Path(views), dim), dim
        place = Path(folder)
        if not (place / BUILT).exists():
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir(parents=True)
            table = self._filled(lancedb.connect(place), count)
            made = {
                "index_s": seconds(lambda: table.create_index("cosine", index_type="IVF_RQ"))
                if indexed
                else 0.0
            }
            (place / BUILT).write_text(json.dumps(made))
        self._built = json.loads((place / BUILT).read_text())
        self._table = lancedb.connect(place).open_table("vectors")
        self._indexed = indexed
        self._queries = units(np.load(queries, allow_pickle=False))

    def __call__(
        self,
        k: int,
        first: int,
        count: int,
        probes: int = 0,
        refine: int = 0,
        which: Which | None = None,
    ) -> dict[str, Any]:
        """Seconds of each query, and what was found for each."""
        took, found = [], []
        for query in self._queries[first : first + count]:
            start = time.perf_counter()
            asked = self._table.search(query).distance_type("cosine").limit(k)
            if self._indexed:
                asked = asked.nprobes(probes).refine_factor(refine)
            if which is not None:
                asked = asked.where(self._condition(which), prefilter=True)
            hits = asked.to_arrow()
            took.append(time.perf_counter() - start)
            found.append(hits["number"].to_pylist())
        return {"seconds": took, "found": found, **self._built}

    def _condition(self, which: Which) -> str:
        if "every" in which:
            return f"number % {int(which['every'])} = 0"
        return f"image < {math.ceil(which['below'] * len(self._views.stored))}"

    def _filled(self, base: Any, count: int) -> Any:  # noqa: ANN401  LanceDB publishes no types
        import pyarrow as pa

        vector = pa.list_(pa.float32(), self._dim)
        kind = pa.schema([("number", pa.int64()), ("image", pa.int64()), ("vector", vector)])

        def batches() -> Any:  # noqa: ANN401  an iterator of record batches
            for part in self._views.parts(count):
                numbers = pa.array(range(part.start, part.start + len(part.matrix)))
                flat = pa.array(units(part.matrix[:, : self._dim]).reshape(-1))
                vectors = pa.FixedSizeListArray.from_arrays(flat, self._dim)
                columns = [numbers, pa.array(part.image), vectors]
                yield pa.record_batch(columns, schema=kind)

        return base.create_table("vectors", data=batches(), schema=kind)
