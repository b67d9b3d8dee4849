"""What takes minutes to make and is used again: large stores, ours and LanceDB's, in the cache."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.speed.bench import Bench
from benchmarks.speed.measuring import Finding

GIB_PER_MILLION = 33
"""Records 7.4, their mirror 15, LanceDB's table and index 5; and room to write before deleting."""


@dataclass(frozen=True)
class Kept:
    """A store of the product. made: what making it took, whenever that was."""

    folder: str
    made: dict[str, Any]


def fits(bench: Bench, road: str, count: int) -> bool:
    """Say whether there is room for what a road keeps of so many vectors; if not, say so."""
    needed = GIB_PER_MILLION * count / 1e6
    there = sum(file.stat().st_size for file in bench.cache.rglob("*") if file.is_file()) / 2**30
    if bench.free_gib + there >= needed:
        return True
    note = f"skipped: needs {needed:.0f} GiB of disk"
    bench.journal.add(Finding(road, f"{count:,} vectors", [], note=note))
    return False


def store(bench: Bench, views: str, count: int) -> Kept:
    """The product's store of so many vectors, made now or by an earlier run."""
    folder = place(bench, views, f"store-{count}")
    with bench.child("stores:Building", engines=bench.engines(), views=views) as building:
        return Kept(folder, building(folder=folder, count=count))


def place(bench: Bench, views: str, name: str) -> str:
    """A folder for something made of these views; a quick run leaves nothing there."""
    within = bench.folder if bench.quick else bench.cache
    return str(within / f"{Path(views).stem}-{name}")
