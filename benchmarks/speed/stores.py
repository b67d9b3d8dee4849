"""Large stores of vectors of images, kept from run to run, and the product's programs on them."""

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.speed.homes import digest_of, space
from benchmarks.speed.vectors import Bool, Int64, Views
from features.keys import EmbeddingSpace, Float32, Vectors
from features.records import FILE_BYTES
from features.selection import Selection
from features.store import FeatureStore

BUILT = "built.json"
"""Says that a store is whole, and what making it took."""


Which = dict[str, float]
"""A filter: `every` so many-th vector (1: all), or those of the first images, `below` this share of
all, which are alike as a dataset's are."""


def allowed(which: Which, numbers: Int64, image: Int64, images: int) -> Bool:
    """Which vectors a filter keeps: of the vectors with these numbers, each of an image."""
    whether = numbers % which["every"] == 0 if "every" in which else image < which["below"] * images
    return np.asarray(whether, np.bool_)


class Building:
    """Makes a store of so many vectors, 2,048 in each call, as an ingest does."""

    def __init__(self, engines: str, views: str) -> None:
        self._space = space(Path(engines))
        self._views = Views(Path(views), self._space.dim)

    def __call__(self, folder: str, count: int) -> dict[str, Any]:
        """What it took, now or when it was made; see `_make`."""
        place = Path(folder)
        if not (place / BUILT).exists():
            shutil.rmtree(place, ignore_errors=True)
            said = self._make(place, count)
            (place / BUILT).write_text(json.dumps(said))
        found: dict[str, Any] = json.loads((place / BUILT).read_text())
        return found

    def _make(self, place: Path, count: int) -> dict[str, Any]:
        store = FeatureStore(str(place / "records"), place / "index", self._space)
        dim, put_s = self._space.dim, 0.0
        for part in self._views.parts(count):
            names = [digest_of(part.start + number) for number in range(len(part.matrix))]
            vectors = Vectors(part.matrix[:, :dim], part.matrix[:, dim:])
            put_s += seconds(lambda: store.put(names, vectors))  # noqa: B023  called at once
        files = len(list((place / "records").rglob("*.parquet")))
        tend_s = seconds(store.tend)
        store.close()
        full = FILE_BYTES // (4 * self._space.width)
        return {"put_s": put_s, "tend_s": tend_s, "files": files, "rows_per_file": full}


class Searching:
    """A store that is searched, written to and erased from.

    Args:
        engines: folder of converted backbones.
        views: file of real views.
        folder: of the store.
        count: vectors in it.
        queries: a file of float32 (n, dim).
    """

    def __init__(self, engines: str, views: str, folder: str, count: int, queries: str) -> None:
        self._space = space(Path(engines))
        self._views, self._count = Path(views), count
        self._queries = np.load(queries, allow_pickle=False)
        self._store = opened(folder, self._space)

    def __call__(
        self, k: int, first: int, count: int, which: Which | None = None
    ) -> dict[str, Any]:
        """Seconds of each query, by the clock and of the processor, and what was found for each.

        `which` may be found: see `chosen`.
        """
        among = None if which is None else self._among(which)
        took, worked, found = [], [], []
        for query in self._queries[first : first + count]:
            start, at_work = time.perf_counter(), time.thread_time()
            hits = self._store.search(query, k, among=among)
            took.append(time.perf_counter() - start)
            worked.append(time.thread_time() - at_work)
            found.append([hit.digest for hit in hits])
        return {"seconds": took, "processor": worked, "found": found}

    def _among(self, which: Which) -> Selection:
        """The selection of a filter, named as the product names it: as long as nothing changes."""
        digests = self._digests(which)
        return Selection(tuple(which.items()), lambda: digests)

    def _digests(self, which: Which) -> set[str]:
        views, numbers = Views(self._views, self._space.dim), np.arange(self._count)
        kept = allowed(which, numbers, views.images(self._count), len(views.stored))
        return {digest_of(number) for number in numbers[kept].tolist()}


class Changing(Searching):
    """The same, told to put some vectors into the store, to look for them, and to erase them."""

    def __call__(self, count: int) -> dict[str, float]:  # type: ignore[override]
        """What that took, the share found at once, and how many were found after all."""
        new: Float32 = self._queries[:count]
        names = [digest_of(self._count + number) for number in range(len(new))]
        stages = np.zeros((len(new), self._space.stages_dim), np.float32)
        put_s = seconds(lambda: self._store.put(names, Vectors(new, stages)))
        at_once = [self._nearest(query) == name for query, name in zip(new, names, strict=True)]
        delete_s = seconds(lambda: self._store.delete(names))
        left = {hit.digest for query in new for hit in self._store.search(query, 100)}
        return {
            "put_s": put_s,
            "delete_s": delete_s,
            "at_once": float(np.mean(at_once)),
            "left": float(len(left & set(names))),
        }

    def _nearest(self, query: Float32) -> str:
        return self._store.search(query, 1)[0].digest


class Opening:
    """A store that another process has filled."""

    def __init__(self, engines: str, folder: str) -> None:
        self._space, self._folder = space(Path(engines)), folder

    def __call__(self, *, tend: bool = False) -> float:
        """Seconds from opening it to the first look-up; `tend`: that making its codes takes."""
        start = time.perf_counter()
        store = opened(self._folder, self._space)
        assert store.get([digest_of(0)])
        took = time.perf_counter() - start
        return seconds(store.tend) if tend else took


def opened(folder: str, of: EmbeddingSpace) -> FeatureStore:
    """The store in a folder."""
    place = Path(folder)
    return FeatureStore(str(place / "records"), place / "index", of)


def seconds(work: Callable[[], object]) -> float:
    """How long it takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
