"""Search by likeness in growing stores, beside plain FAISS and LanceDB, all of them exact."""

import importlib.util
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.speed.bench import MS, OURS, Bench
from benchmarks.speed.child import Child
from benchmarks.speed.homes import made_vectors, space
from benchmarks.speed.measuring import Curve, Finding, median, ratio, taking_turns

ROAD = "search"

FAISS, LANCE = "FAISS IndexFlatIP", "LanceDB, no index"
FAISS_ONE = f"{FAISS}, one thread"
K = 10
JUDGED = 100_000
GIB_PER_MILLION = 40

CURVE = Curve(
    ROAD,
    "vectors",
    "One search, by the number of vectors",
    "vectors",
    "ms",
    "a scan reads every vector, so the lines rise in step with their number and meet memory "
    "bandwidth: 5 KB a vector. More cores help many searches at a time until the bandwidth is used "
    "up; only an index that looks at fewer vectors bends the line.",
)


def measure(bench: Bench) -> None:
    """Measures each size."""
    bench.journal.add(CURVE)
    for count in bench.pick((1_000, 10_000, JUDGED, 1_000_000), (1_000, 10_000)):
        if count > JUDGED and bench.free_gib < GIB_PER_MILLION:
            note = f"skipped: needs {GIB_PER_MILLION} GiB of disk"
            bench.journal.add(Finding(ROAD, f"{count:,} vectors", [], note=note))
            continue
        _measure(bench, count)
    says = "1,000,000 vectors, recall@10 of 0.98 within 3 ms, beside LanceDB's index"
    bench.journal.add(
        Finding(ROAD, says, [], note="not built: the product has no approximate index")
    )


def _measure(bench: Bench, count: int) -> None:
    queries = bench.pick(20, 5)
    programs = _programs(bench, count, queries * (bench.turns + 1))
    found: dict[str, list[list[int]]] = {}

    def run(name: str) -> float:
        first = queries * (len(found.get(name, ())) // queries)
        answer = programs[name](k=K, first=first, count=queries)
        found.setdefault(name, []).extend(answer["found"])
        return MS * median(answer["seconds"])

    asked: dict[str, Callable[[], float]] = {name: partial(run, name) for name in programs}
    turns = taking_turns(asked, bench.turns)
    bench.keep(ROAD, "ms", turns, CURVE.name, count)
    if count != bench.pick(JUDGED, 10_000):
        return
    best = min((FAISS, FAISS_ONE), key=lambda name: median(turns[name]))
    says = f"median time of a search of {count:,} vectors, times {best}'s"
    bench.journal.add(
        Finding(ROAD, says, ratio(turns[OURS], turns[best]), target=1.1, at_least=False)
    )
    says = f"found the same {K} as {FAISS} (share of queries)"
    same = [float(set(a) == set(b)) for a, b in zip(found[OURS], found[FAISS], strict=True)]
    bench.journal.add(Finding(ROAD, says, [float(np.mean(same))], unit="", target=1))
    if LANCE in turns:
        says = f"median time of a search of {count:,} vectors, times {LANCE}'s"
        bench.journal.add(Finding(ROAD, says, ratio(turns[OURS], turns[LANCE])))
    else:
        says = "beside an embedded vector database"
        bench.journal.add(Finding(ROAD, says, [], note="skipped: pip install lancedb"))


def _programs(bench: Bench, count: int, queries: int) -> dict[str, Child]:
    of = space(Path(bench.engines()))
    path = bench.folder / f"queries-{count}.npy"
    generator = np.random.default_rng(11)
    _, stored = next(iter(made_vectors(of.width, count)))
    near = stored[generator.integers(0, len(stored), queries), : of.dim]
    np.save(path, near + 0.5 * generator.standard_normal(near.shape, np.float32))
    told: dict[str, Any] = {"count": count, "queries": str(path)}
    shape = {"width": of.width, "dim": of.dim}
    folder = str(bench.folder / f"store-{count}")
    programs = {
        OURS: bench.child("ours:Search", engines=bench.engines(), folder=folder, **told),
        FAISS: bench.child("rivals.flat:Faiss", **shape, **told, threads=0),
        FAISS_ONE: bench.child("rivals.flat:Faiss", **shape, **told, threads=1),
    }
    if importlib.util.find_spec("lancedb") and count <= JUDGED:
        place = str(bench.folder / f"lance-{count}")
        programs[LANCE] = bench.child("rivals.flat:Lance", **shape, **told, folder=place)
    return programs
