"""Search of a million vectors: time, recall, memory, filters, and what is new or erased."""

import importlib.util
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from operator import itemgetter
from pathlib import Path
from typing import Any

from benchmarks.speed import kept
from benchmarks.speed.bench import MS, OURS, Bench
from benchmarks.speed.child import Child
from benchmarks.speed.likeness import CURVE, LANCE, Hits, K, named, queries_of, recall
from benchmarks.speed.measuring import Finding, median, ratio, taking_turns
from benchmarks.speed.vectors import Views

ROAD = "search of a million"

Ask = Callable[..., dict[str, Any]]
"""A program: seconds of some queries, and what was found."""

EACH = 20
"""Queries in a turn."""

FILTERED = 20
"""Queries for each filter."""

NEW = 20
FILTERS = {
    "every second vector": {"every": 2},
    "every 20th": {"every": 20},
    "every 200th": {"every": 200},
    "one twentieth of the images, alike": {"below": 0.05},
}

PROBES = ((16, 10), (32, 10), (64, 20), (128, 20), (128, 50), (256, 50), (256, 100), (500, 200))
"""Of LanceDB, from quick to thorough: partitions looked at, and how many times as many hits as
wanted are scored by their vectors. The quickest that finds as many as the product is compared."""


@dataclass(frozen=True)
class Million:
    """One run: what is asked of every program."""

    bench: Bench
    count: int
    views: str

    @cached_property
    def told(self) -> dict[str, Any]:
        """What every program is made with."""
        queries = queries_of(self.bench, self.views, self.asked)
        return {"views": self.views, "queries": queries, "count": self.count}

    @property
    def asked(self) -> int:
        """Queries, those of the warm-up included."""
        return EACH * (self.bench.turns + 1)

    @cached_property
    def exact(self) -> dict[str, Hits]:
        """What should be found for each query, by filter; "" is none."""
        dim = self.bench.space().dim
        with self.bench.child("exact:Exact", dim=dim, **self.told) as exact:
            found = exact(k=K, filters={"": {"every": 1}, **FILTERS})
        return {name: named(numbers) for name, numbers in found.items()}

    def tell(self, says: str, values: list[float], unit: str, **more: Any) -> None:  # noqa: ANN401  any of a finding
        """Writes down a finding."""
        self.bench.journal.add(Finding(ROAD, says, values, unit=unit, **more))


def measure(bench: Bench) -> None:
    """Measures it."""
    run = Million(bench, bench.pick(1_000_000, 20_000), bench.views())
    if not kept.fits(bench, ROAD, run.count):
        return
    store = kept.store(bench, run.views, run.count)
    _tell_making(run, store)
    exact = run.exact
    told = {"engines": bench.engines(), "folder": store.folder, **run.told}
    with bench.child("stores:Searching", **told) as ours:
        found = ours(k=K, first=0, count=run.asked)
        recalled = recall(found["found"], exact[""])
        _judge(run, ours, recalled)
        programs: dict[str, Ask] = {OURS: ours}
        if importlib.util.find_spec("lancedb"):
            programs[LANCE] = _lance(run, recalled)
        _compare(run, programs)
        _filters(run, programs)
    with bench.child("stores:Changing", **told) as changing:
        _tell_changes(run, changing(count=NEW))


def _tell_making(run: Million, store: kept.Kept) -> None:
    real = Views(Path(run.views), run.bench.space().dim).real
    note = f"{min(real, run.count):,} are real views of images, the others lie between such"
    run.tell(f"{run.count:,} vectors put, 2,048 at a time", [store.made["put_s"]], "s", note=note)
    run.tell("their codes made", [store.made["tend_s"]], "s")


def _judge(run: Million, ours: Child, recalled: float) -> None:
    note = "queries: views of images of which nothing is stored"
    run.tell(f"recall@{K}", [recalled], "", target=0.98, note=note)
    target = {"target": 1_536, "at_least": False}
    run.tell("resident beside mapped files", [ours.anonymous_mib], "MiB", **target)


def _lance(run: Million, least: float) -> Ask:
    """LanceDB, asked as it must be to find as many as that, or as many as it can."""
    folder = kept.place(run.bench, run.views, f"lance-{run.count}")
    told = {"dim": run.bench.space().dim, "folder": folder, "indexed": True}
    lance = run.bench.child("rivals.flat:Lance", **told, **run.told)
    tried = []
    for probes, refine in PROBES:
        ask = partial(lance, probes=probes, refine=refine)
        ask(k=K, first=0, count=EACH)  # what it reads for the first time
        answer = ask(k=K, first=0, count=run.asked)
        found = recall(named(answer["found"]), run.exact[""])
        says = f"LanceDB, {probes} partitions, refine factor {refine}: recall@{K} of {found:.3f}"
        run.tell(says, [MS * median(answer["seconds"])], "ms")
        tried.append((found < least, median(answer["seconds"]) if found >= least else -found, ask))
    return min(tried, key=itemgetter(0, 1))[2]


def _compare(run: Million, programs: dict[str, Ask]) -> None:
    taken: Counter[str] = Counter()
    worked: list[float] = []

    def one(name: str) -> float:
        answer = programs[name](k=K, first=EACH * taken[name], count=EACH)
        taken[name] += 1
        worked.extend(answer.get("processor", ()))
        return MS * median(answer["seconds"])

    turns = taking_turns({name: partial(one, name) for name in programs}, run.bench.turns)
    run.bench.keep(ROAD, "ms", turns, CURVE, run.count)
    run.tell("median time of a search", turns[OURS], "ms", target=3, at_least=False)
    run.tell("of the processor", [MS * median(worked)], "ms")
    says = "median time of a search, times LanceDB's at equal recall"
    if LANCE in programs:
        run.tell(says, ratio(turns[OURS], turns[LANCE]), "x", target=1, at_least=False)
    else:
        run.tell(says, [], "x", note="skipped: pip install lancedb")


def _filters(run: Million, programs: dict[str, Ask]) -> None:
    for name, which in FILTERS.items():
        for program, ask in programs.items():
            answer = ask(k=K, first=0, count=FILTERED, which=which)
            hits = answer["found"] if program == OURS else named(answer["found"])
            found = recall(hits, run.exact[name][:FILTERED])
            target = {"target": 0.98} if program == OURS else {}
            run.tell(f"{program}: recall@{K} among {name}", [found], "", **target)
            run.tell(f"{program}: time among {name}", [MS * median(answer["seconds"])], "ms")
            run.tell(f"{program}: the first time among {name}", [MS * answer["seconds"][0]], "ms")


def _tell_changes(run: Million, found: dict[str, float]) -> None:
    run.tell("share of new vectors that the next search finds", [found["at_once"]], "", target=1)
    most = {"target": 0, "at_least": False}
    run.tell("erased vectors that a search still finds", [found["left"]], "", **most)
    run.tell(f"{NEW} vectors put", [found["put_s"]], "s")
    run.tell(f"{NEW} vectors erased", [found["delete_s"]], "s")
