"""Opening a large store in a new process, and how many files it lies in."""

import shutil
from pathlib import Path

from benchmarks.speed import kept
from benchmarks.speed.bench import OURS, Bench
from benchmarks.speed.measuring import Finding

ROAD = "open a store"

SMALL = 64
"""Files of records that may be less than half full before they are merged."""


def measure(bench: Bench) -> None:
    """Measures it."""
    count = bench.pick(1_000_000, 20_000)
    if not kept.fits(bench, ROAD, count):
        return
    store = kept.store(bench, bench.views(), count)
    of = {"engines": bench.engines(), "folder": store.folder}
    seconds = []
    for _ in range(bench.turns):
        with bench.child("stores:Opening", **of) as child:
            seconds.append(child.seconds())
    bench.keep(ROAD, "s", {OURS: seconds})
    says = f"{count:,} vectors, from opening to the first look-up"
    bench.journal.add(Finding(ROAD, says, seconds, unit="s", target=20, at_least=False))
    says = f"Parquet files of {count:,} vectors, put 2,048 at a time"
    files, most = [float(store.made["files"])], 2 * count / store.made["rows_per_file"] + SMALL
    told = {"unit": "", "target": most, "at_least": False}
    note = "the bound: all but 64 files are at least half full, however small the puts"
    bench.journal.add(Finding(ROAD, says, files, **told, note=note))
    shutil.rmtree(Path(store.folder) / "index")
    with bench.child("stores:Opening", **of) as child:
        says = f"{count:,} vectors, the index lost and made again from the records"
        bench.journal.add(Finding(ROAD, says, [child.seconds()], unit="s"))
        says = "and its codes, behind searches that go on"
        bench.journal.add(Finding(ROAD, says, [child.seconds(tend=True)], unit="s"))
