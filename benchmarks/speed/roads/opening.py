"""Opening a large store in a new process, and how many files it lies in."""

import shutil
from pathlib import Path

from benchmarks.speed import kept
from benchmarks.speed.bench import OURS, Bench
from benchmarks.speed.measuring import Finding

ROAD = "open a store"

FILES = 200
"""Few enough for any listing; appends of 2,048 rows alone would make 488 of a million."""


def measure(bench: Bench) -> None:
    """Measures it."""
    count = bench.pick(1_000_000, 20_000)
    if not kept.fits(bench, ROAD, count):
        return
    store = kept.store(bench, bench.views(), count)
    told = {"engines": bench.engines(), "folder": store.folder}
    seconds = []
    for _ in range(bench.turns):
        with bench.child("stores:Opening", **told) as child:
            seconds.append(child.seconds())
    bench.keep(ROAD, "s", {OURS: seconds})
    says = f"{count:,} vectors, from opening to the first look-up"
    bench.journal.add(Finding(ROAD, says, seconds, unit="s", target=20, at_least=False))
    says = f"Parquet files of {count:,} vectors, put 2,048 at a time"
    files = [float(store.made["files"])]
    bench.journal.add(Finding(ROAD, says, files, unit="", target=FILES, at_least=False))
    shutil.rmtree(Path(store.folder) / "index")
    with bench.child("stores:Opening", **told) as child:
        says = f"{count:,} vectors, the index lost and made again from the records"
        bench.journal.add(Finding(ROAD, says, [child.seconds()], unit="s"))
        says = "and its codes, behind searches that go on"
        bench.journal.add(Finding(ROAD, says, [child.seconds(tend=True)], unit="s"))
