"""Search by likeness in growing stores, beside plain FAISS and LanceDB."""

import importlib.util
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from benchmarks.speed.bench import MS, OURS, Bench
from benchmarks.speed.child import Child
from benchmarks.speed.homes import made_vectors
from benchmarks.speed.measuring import Curve, Finding, Turns, median, ratio, taking_turns

ROAD = "search"

FAISS, LANCE = "FAISS IndexFlatIP", "LanceDB"
FAISS_ONE = f"{FAISS}, one thread"
K = 10
JUDGED, MILLION = 100_000, 1_000_000
GIB_PER_MILLION = 40

Found = dict[str, list[list[int]]]

CURVE = Curve(
    ROAD,
    "vectors",
    "One search, by the number of vectors",
    "vectors",
    "ms",
    "a scan reads every vector, so its lines rise in step with their number and meet memory "
    "bandwidth: 5 KB a vector. From 150,000 on the product looks at codes of one bit a number, and "
    "at vectors only of the likeliest: its line bends down there. More cores help many searches "
    "at a time, until the bandwidth is used up.",
)


def measure(bench: Bench) -> None:
    """Measures each size."""
    bench.journal.add(CURVE)
    for count in bench.pick((1_000, 10_000, JUDGED, MILLION), (1_000, 10_000)):
        if count > JUDGED and bench.free_gib < GIB_PER_MILLION:
            note = f"skipped: needs {GIB_PER_MILLION} GiB of disk"
            bench.journal.add(Finding(ROAD, f"{count:,} vectors", [], note=note))
            continue
        _measure(bench, count)


def _measure(bench: Bench, count: int) -> None:
    queries = bench.pick(20, 5)
    programs = _programs(bench, count, queries * (bench.turns + 1))
    found: Found = {}

    def run(name: str) -> float:
        first = queries * (len(found.get(name, ())) // queries)
        answer = programs[name](k=K, first=first, count=queries)
        found.setdefault(name, []).extend(answer["found"])
        return MS * median(answer["seconds"])

    asked: dict[str, Callable[[], float]] = {name: partial(run, name) for name in programs}
    turns = taking_turns(asked, bench.turns)
    bench.keep(ROAD, "ms", turns, CURVE.name, count)
    if count == bench.pick(JUDGED, 10_000):
        _judge_exact(bench, count, turns, found)
    if count >= MILLION:
        _judge_million(bench, turns, found, programs[OURS])


def _judge_exact(bench: Bench, count: int, turns: Turns, found: Found) -> None:
    best = min((FAISS, FAISS_ONE), key=lambda name: median(turns[name]))
    says = f"median time of a search of {count:,} vectors, times {best}'s"
    bench.journal.add(
        Finding(ROAD, says, ratio(turns[OURS], turns[best]), target=1.1, at_least=False)
    )
    says = f"recall@{K} of {count:,} vectors"
    bench.journal.add(Finding(ROAD, says, [_recall(found[OURS], found[FAISS])], unit="", target=1))
    _beside_lance(bench, count, turns, found)


def _judge_million(bench: Bench, turns: Turns, found: Found, program: Child) -> None:
    says = f"recall@{K} of {MILLION:,} made-up vectors"
    value = _recall(found[OURS], found[FAISS])
    bench.journal.add(Finding(ROAD, says, [value], unit="", target=0.98))
    says = f"median time of a search of {MILLION:,} vectors"
    bench.journal.add(Finding(ROAD, says, turns[OURS], unit="ms", target=3, at_least=False))
    says = "resident with them, beside mapped files"
    memory = [program.anonymous_mib]
    bench.journal.add(Finding(ROAD, says, memory, unit="MiB", target=1_536, at_least=False))
    _beside_lance(bench, MILLION, turns, found)


def _beside_lance(bench: Bench, count: int, turns: Turns, found: Found) -> None:
    says = f"median time of a search of {count:,} vectors, times LanceDB's"
    if LANCE not in turns:
        bench.journal.add(Finding(ROAD, says, [], note="skipped: pip install lancedb"))
        return
    note = f"LanceDB's recall@{K} is {_recall(found[LANCE], found[FAISS]):.3f}"
    values = ratio(turns[OURS], turns[LANCE])
    bench.journal.add(Finding(ROAD, says, values, target=1, at_least=False, note=note))


def _recall(found: list[list[int]], exact: list[list[int]]) -> float:
    """Share of the nearest that was found."""
    shares = [len(set(a) & set(b)) / len(b) for a, b in zip(found, exact, strict=True)]
    return float(np.mean(shares))


def _programs(bench: Bench, count: int, queries: int) -> dict[str, Child]:
    of = bench.space()
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
    if importlib.util.find_spec("lancedb"):
        told |= {"folder": str(bench.folder / f"lance-{count}"), "indexed": count >= MILLION}
        programs[LANCE] = bench.child("rivals.flat:Lance", **shape, **told)
    return programs
