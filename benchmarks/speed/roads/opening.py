"""Opening a large store in a new process, and how many files it lies in."""

import shutil

from benchmarks.speed.bench import OURS, Bench
from benchmarks.speed.child import Child
from benchmarks.speed.measuring import Finding

ROAD = "open a store"

GIB_PER_MILLION = 40
FILES = 200
"""Few enough for any listing; appends of 2,048 rows alone would make 488 of a million."""


def measure(bench: Bench) -> None:
    """Measures it."""
    count = bench.pick(1_000_000, 20_000)
    if not bench.quick and bench.free_gib < GIB_PER_MILLION:
        note = f"skipped: needs {GIB_PER_MILLION} GiB of disk"
        bench.journal.add(Finding(ROAD, f"{count:,} vectors", [], note=note))
        return
    place = bench.folder / "store"
    told = {"engines": bench.engines()}
    bench.make("store", records=str(place / "records"), index=str(place / "index"), add=count)
    files = float(len(list((place / "records").rglob("*.parquet"))))
    seconds = []
    for _ in range(bench.turns):
        with Child("benchmarks.speed.ours:Opening", folder=str(place), **told) as child:
            seconds.append(child.seconds())
    bench.keep(ROAD, "s", {OURS: seconds})
    says = f"{count:,} vectors, from opening to the first look-up"
    bench.journal.add(Finding(ROAD, says, seconds, unit="s", target=20, at_least=False))
    shutil.rmtree(place / "index")
    with Child("benchmarks.speed.ours:Opening", folder=str(place), **told) as child:
        seconds = [child.seconds()]
    says = f"{count:,} vectors, the index lost and made again from the records"
    bench.journal.add(Finding(ROAD, says, seconds, unit="s"))
    says = f"Parquet files of {count:,} vectors, put 2,048 at a time"
    bench.journal.add(Finding(ROAD, says, [files], unit="", target=FILES, at_least=False))
