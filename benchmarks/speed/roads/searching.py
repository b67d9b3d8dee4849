"""Search by likeness in growing stores, beside plain FAISS and LanceDB."""

import importlib.util
from collections.abc import Callable
from functools import partial

from benchmarks.speed.bench import MS, OURS, Bench
from benchmarks.speed.child import Child
from benchmarks.speed.likeness import CURVE, FAISS, LANCE, Hits, K, named, queries_of, recall
from benchmarks.speed.measuring import Curve, Finding, Turns, median, ratio, taking_turns

ROAD = "search"

FAISS_ONE = f"{FAISS}, one thread"
JUDGED = 100_000

GROWTH = Curve(
    ROAD,
    CURVE,
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
    bench.journal.add(GROWTH)
    views = bench.views()
    for count in bench.pick((1_000, 10_000, JUDGED), (1_000, 10_000)):
        _measure(bench, views, count)


def _measure(bench: Bench, views: str, count: int) -> None:
    each = bench.pick(20, 5)
    programs = _programs(bench, views, count, queries_of(bench, views, each * (bench.turns + 1)))
    found: dict[str, Hits] = {name: [] for name in programs}

    def run(name: str) -> float:
        answer = programs[name](k=K, first=len(found[name]), count=each)
        hits = answer["found"]
        found[name] += hits if name == OURS else named(hits)
        return MS * median(answer["seconds"])

    asked: dict[str, Callable[[], float]] = {name: partial(run, name) for name in programs}
    turns = taking_turns(asked, bench.turns)
    bench.keep(ROAD, "ms", turns, CURVE, count)
    if count == bench.pick(JUDGED, 10_000):
        _judge(bench, count, turns, found)


def _judge(bench: Bench, count: int, turns: Turns, found: dict[str, Hits]) -> None:
    best = min((FAISS, FAISS_ONE), key=lambda name: median(turns[name]))
    says = f"median time of a search of {count:,} vectors, times {best}'s"
    bench.journal.add(
        Finding(ROAD, says, ratio(turns[OURS], turns[best]), target=1.1, at_least=False)
    )
    says = f"recall@{K} of {count:,} vectors"
    # With several threads FAISS adds up in another order, and may take the other of two alike.
    exact = recall(found[OURS], found[FAISS_ONE])
    bench.journal.add(Finding(ROAD, says, [exact], unit="", target=1))
    says = f"median time of a search of {count:,} vectors, times LanceDB's"
    if LANCE in turns:
        values = ratio(turns[OURS], turns[LANCE])
        bench.journal.add(Finding(ROAD, says, values, target=1, at_least=False))
    else:
        bench.journal.add(Finding(ROAD, says, [], note="skipped: pip install lancedb"))


def _programs(bench: Bench, views: str, count: int, queries: str) -> dict[str, Child]:
    told = {"views": views, "count": count, "queries": queries}
    folder, dim = str(bench.folder / f"store-{count}"), bench.space().dim
    with bench.child("stores:Building", engines=bench.engines(), views=views) as building:
        building(folder=folder, count=count)
    programs = {
        OURS: bench.child("stores:Searching", engines=bench.engines(), folder=folder, **told),
        FAISS: bench.child("rivals.flat:Faiss", dim=dim, **told, threads=0),
        FAISS_ONE: bench.child("rivals.flat:Faiss", dim=dim, **told, threads=1),
    }
    if importlib.util.find_spec("lancedb"):
        told |= {"folder": str(bench.folder / f"lance-{count}"), "indexed": False}
        programs[LANCE] = bench.child("rivals.flat:Lance", dim=dim, **told)
    return programs
