"""What the roads of search share: the programs' names, what is asked, and how good an answer is."""

from pathlib import Path

import numpy as np

from benchmarks.speed.bench import Bench
from benchmarks.speed.homes import digest_of
from benchmarks.speed.vectors import Views

FAISS, LANCE = "FAISS IndexFlatIP", "LanceDB"
K = 10
CURVE = "vectors"

Hits = list[list[str]]
"""Digests of what was found for each query."""


def queries_of(bench: Bench, views: str, count: int) -> str:
    """A file of so many views of images that nothing is stored of."""
    path = bench.folder / f"queries-{count}.npy"
    np.save(path, Views(Path(views), bench.space().dim).queries(count))
    return str(path)


def named(numbers: list[list[int]]) -> Hits:
    """The digests that these vectors are stored under."""
    return [[digest_of(number) for number in some] for some in numbers]


def recall(found: Hits, exact: Hits) -> float:
    """Share of the nearest that was found."""
    shares = [len(set(a) & set(b)) / len(b) for a, b in zip(found, exact, strict=True)]
    return float(np.mean(shares))
