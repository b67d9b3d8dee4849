"""`python -m benchmarks.speed`: measures the roads, keeps what was found, writes the page."""

import argparse
import importlib
import os
import signal
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType

from benchmarks.speed import machine, page
from benchmarks.speed.bench import Bench
from benchmarks.speed.child import ROOT
from benchmarks.speed.images import Images
from benchmarks.speed.measuring import Finding, Journal

ROADS = (
    "embedding",
    "cold",
    "sizes",
    "known",
    "forest",
    "answers",
    "registering",
    "ingesting",
    "searching",
    "million",
    "starting",
    "opening",
    "workers",
)
"""Modules of `roads/`, in the order of the page."""


def main() -> int:
    """Runs the command line."""
    asked = _arguments()
    # Told so, Python compiles all that is not in a package anew at every start.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    signal.signal(signal.SIGTERM, _stop)
    found = asked.cache / f"found{'-quick' if asked.quick else ''}.jsonl"
    journal = Journal(found)
    if not asked.render:
        _measure(asked, journal)
    if asked.page is not None:
        page.write(journal, asked.page, [_road(name).ROAD for name in ROADS])
        print(f"Written to {asked.page}.")
    missed = [e["says"] for e in journal.entries if e["kind"] == "finding" and _missed(e)]
    print(f"{len(missed)} targets not met." if missed else "Every target that was judged is met.")
    return 0


def _stop(*_: object) -> None:
    """Ends what was started, and then this; a second signal must not cut that short."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(1)


def _measure(asked: argparse.Namespace, journal: Journal) -> None:
    images = Images(asked.images, int(time.time()))
    with TemporaryDirectory(prefix="penultimate-bench-") as templates:
        for name in asked.only or ROADS:
            road = _road(name)
            print(f"{name}: {(road.__doc__ or name).splitlines()[0]}", flush=True)
            begun = time.monotonic()
            journal.begin(road.ROAD)
            about = machine.described(road.ROAD, quick=asked.quick)
            journal.put(about)
            if not about["idle"]:
                print(
                    f"    others use {about['busy_percent']:.0f} % of the processors: see the page"
                )
            with ExitStack() as stack:
                shared = (asked.quick, asked.cache, images, Path(templates), journal)
                road.measure(Bench(*shared, stack))
            print(f"    took {time.monotonic() - begun:.0f} s", flush=True)


def _road(name: str) -> ModuleType:
    return importlib.import_module(f"benchmarks.speed.roads.{name}")


def _missed(entry: dict[str, object]) -> bool:
    return Finding(**{k: v for k, v in entry.items() if k != "kind"}).met is False  # type: ignore[arg-type]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser("benchmarks.speed", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes: only to see it work")
    parser.add_argument("--only", action="append", choices=ROADS, help="this road; repeatable")
    parser.add_argument("--images", type=Path, help="a folder of JPEGs to use, not made-up ones")
    parser.add_argument("--page", type=Path, help="write the page here, pictures beside it")
    parser.add_argument(
        "--render", action="store_true", help="measure nothing, only write the page"
    )
    parser.add_argument(
        "--cache",
        type=Path,
        default=ROOT / "build" / "bench",
        help="folder of what was found and of the converted backbone",
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
