"""`penultimate ingest` of a folder: beside its floor, its memory over time, and cut short."""

import json
import os
import resource
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from benchmarks.speed.bench import FLOOR, MS, OURS, Bench
from benchmarks.speed.child import ROOT
from benchmarks.speed.images import write_all
from benchmarks.speed.measuring import Curve, Finding, Turns, median, ratio
from benchmarks.speed.roads.cold import floor_of

ROAD = "ingest"

LOOK_EVERY_S = 0.25

CURVE = Curve(
    ROAD,
    "memory",
    "Memory while a folder is ingested",
    "seconds since the start",
    "MiB beside mapped files",
    "files are read, embedded and written 128 at a time, so the line rises while the backbone is "
    "loaded and then stays, however many files there are. What grows with the store is the index "
    "of digests, some hundred bytes an image.",
    linear=True,
)


@dataclass
class Ingest:
    """One run of the command.

    Args:
        seconds: until it ended.
        busy_s: processor time that it took.
        memory: (seconds, MiB beside mapped files) as it went.
        answer: what it printed, where it came so far.
    """

    seconds: float
    busy_s: float
    memory: list[tuple[float, float]]
    answer: dict[str, Any]


def measure(bench: Bench) -> None:
    """Measures speed, memory, and what an interruption loses."""
    count, times = bench.pick(10_000, 300), bench.pick(4, 2)
    jpegs = bench.images.jpegs(count)
    folder = write_all(bench.folder / "images", jpegs)
    floor = floor_of(bench, jpegs[:512])
    runs: list[Ingest] = []
    turns: Turns = {OURS: [], FLOOR: []}
    busy: Turns = {OURS: [], FLOOR: []}
    for number in range(times):
        runs.append(run(bench.home(f"home-{number}"), folder))
        turns[OURS].append(count / runs[-1].seconds)
        busy[OURS].append(MS * runs[-1].busy_s / count)
        least = floor(images=count)
        turns[FLOOR].append(count / float(least["total"]))
        busy[FLOOR].append(MS * float(least["busy"]) / count)
    bench.keep(ROAD, "images/s", turns)
    says = f"{count:,} JPEGs, the whole command, times the floor of decode and forward"
    bench.journal.add(Finding(ROAD, says, ratio(turns[OURS], turns[FLOOR]), target=0.9))
    bench.keep(f"{ROAD}, processor", "ms an image", busy)
    says = "the floor's processor time, times the command's: others on the machine hardly change it"
    bench.journal.add(Finding(f"{ROAD}, processor", says, ratio(busy[FLOOR], busy[OURS])))
    _judge_memory(bench, runs)
    _interrupt(bench, folder, count, runs[0].seconds)


def run(home: Path, folder: Path, *, killed_after_s: float | None = None) -> Ingest:
    """Runs the command, or as much of it as it is left time for."""
    printed = home.parent / f"{home.name}.json"
    memory = []
    begun, used_before = time.monotonic(), _used_by_children_s()
    with printed.open("wb") as output:
        process = psutil.Popen(
            [sys.executable, "-m", "service.cli", "ingest", "measured", str(folder), "--json"],
            env={**os.environ, "PENULTIMATE_HOME": str(home), "PYTHONPATH": str(ROOT)},
            cwd=ROOT,
            stdout=output,
            stderr=subprocess.DEVNULL,
        )
    try:
        while not _ended(process, LOOK_EVERY_S):
            passed = time.monotonic() - begun
            held = process.memory_info()
            memory.append((passed, (held.rss - held.shared) / 2**20))
            if killed_after_s is not None and passed > killed_after_s:
                process.kill()
                break
    finally:
        with suppress(psutil.NoSuchProcess):
            process.kill()
        process.wait()
    seconds = time.monotonic() - begun
    if killed_after_s is None and process.returncode:
        raise SystemExit(f"penultimate ingest has failed with {process.returncode}.")
    busy_s = _used_by_children_s() - used_before
    return Ingest(seconds, busy_s, memory, json.loads(printed.read_bytes() or b"{}"))


def _ended(process: psutil.Popen, within_s: float) -> bool:
    """Whether it ends within that time; told at once when it does."""
    try:
        process.wait(within_s)
    except psutil.TimeoutExpired:
        return False
    return True


def _used_by_children_s() -> float:
    """Processor time of the processes that this one has started and waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _judge_memory(bench: Bench, runs: list[Ingest]) -> None:
    bench.journal.add(CURVE)
    for passed, mib in runs[0].memory[:: max(1, len(runs[0].memory) // 60)]:
        bench.keep(ROAD, "MiB", {OURS: [mib]}, CURVE.name, passed)
    growth = []
    for one in runs:
        levels = [mib for _, mib in one.memory]
        quarter = max(1, len(levels) // 4)
        growth.append(max(levels[-quarter:]) / median(levels[quarter : 2 * quarter] or levels))
    says = "most memory beside mapped files, in the last quarter of the time, times the second's"
    bench.journal.add(Finding(ROAD, says, growth, target=1.1, at_least=False))


def _interrupt(bench: Bench, folder: Path, count: int, whole_s: float) -> None:
    """Kills it half-way, starts it again, and counts."""
    home = bench.home("interrupted")
    run(home, folder, killed_after_s=whole_s / 2)
    after = run(home, folder)
    known, added = after.answer["known"], after.answer["added"]
    place = next((home / "records" / "default").iterdir())
    index = home / "index" / "default" / place.name
    stored = bench.make("store", records=str(place), index=str(index), add=0)
    says = f"killed half-way and started again ({known:,} known then): images in the dataset"
    kept = (known + added) / count
    bench.journal.add(Finding(ROAD, f"{says}, of those sent", [kept], unit="", target=1))
    says = "records after that, of the images sent: 1 is each exactly once"
    bench.journal.add(Finding(ROAD, says, [stored / count], unit="", target=1))
