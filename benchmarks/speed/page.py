"""`docs/performance.md` and its pictures, written from what a run found. Measures nothing."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.speed.measuring import Curve, Finding, Journal, bound, median, plain, short, spread
from benchmarks.speed.picture import drawn

Entry = dict[str, Any]

INTRODUCTION = """\
# Performance

How fast the product is beside what people would write instead, and how close to what the machine
can do. `make bench` measures all of it again and writes this page; `benchmarks/speed/` has the
programs, one file for each road.

Programs that are compared take turns within one run. A ratio is taken turn by turn; what stands
here is its median, and in brackets its quartiles. A *floor* is the work that no program can avoid,
in one process with nothing around it. Clients send whole requests over kept-alive connections, and
what they use of the processor counts against every server alike.
"""

RIVALS = """\
## Who it is measured against

*BentoML + torch eager*: a service with adaptive batching; evaluation and inference mode,
channels_last, PIL and torchvision's transforms, `LGBMClassifier.predict_proba` for each head.
*FastAPI + torch eager*: the same under uvicorn, in a blocking route. *FAISS IndexFlatIP*: every
vector looked at. *LanceDB*: the same up to 100,000 vectors, beyond with an IVF_RQ index of its own
defaults, asked as thoroughly as it must be to find as many of the nearest. *Empty endpoint*: a
route that reads the same body and answers something as long, mounted as the product is. *Floor*:
decode and forward in one process, the next images decoded while the backbone runs.

What is searched are views of real images where `--images` names a folder of them: 24,000 crops and
flips that the backbone has looked at. Vectors beyond those lie between two views of one image,
moved by the difference of two views of a similar one (`benchmarks/speed/vectors.py`). The queries
are views of other images, of which nothing is stored.
"""

NOT_IDLE = """\
**Others used the machine when some of this was measured: {}.** Torch's threads wait for each other
and lose more to busy neighbours than the product does: ratios to torch are then too good. Measure
again on an idle machine."""

QUICK = """\
**Some of this is of a quick run, at small sizes: it shows that the programs work, and no more.**"""

VERDICTS = {True: "met", False: "**not met**", None: ""}


def write(journal: Journal, page: Path, roads: list[str]) -> None:
    """Writes the page, roads in this order, and its pictures into the folder beside it."""
    journal.entries.sort(key=lambda entry: _place(entry["road"], roads))
    pictures = page.parent / "pictures"
    pictures.mkdir(parents=True, exist_ok=True)
    parts = [INTRODUCTION, _machine(journal), _findings(journal), RIVALS, _series(journal)]
    page.write_text("\n".join([*parts, *_curves(journal, pictures)]).rstrip() + "\n")


def _place(road: str, roads: list[str]) -> int:
    """Where a road, or a part of one, comes."""
    return next(n for n, name in enumerate(roads) if f"{road}, ".startswith(f"{name}, "))


def _of(journal: Journal, kind: str) -> list[Entry]:
    return [
        {k: v for k, v in e.items() if k != "kind"} for e in journal.entries if e["kind"] == kind
    ]


def _machine(journal: Journal) -> str:
    runs = _of(journal, "run")
    newest = runs[-1]
    versions = ", ".join(f"{name} {number}" for name, number in newest["versions"].items())
    about = (
        f"{newest['processor']}, {newest['cores']} cores, {newest['memory_gib']} GiB; "
        f"{newest['system']}; {versions}. Measured {newest['date']}."
    )
    lines = ["## The machine", "", about]
    if busy := [f"{run['road']} ({run['busy_percent']:.0f} %)" for run in runs if not run["idle"]]:
        lines += ["", NOT_IDLE.format(", ".join(busy))]
    if any(run["quick"] for run in runs):
        lines += ["", QUICK]
    return "\n".join([*lines, ""])


def _findings(journal: Journal) -> str:
    lines = [
        "## What must be reached",
        "",
        "| road | what | median (quartiles) | must be | |",
        "|---|---|--:|---|---|",
    ]
    for entry in _of(journal, "finding"):
        found = Finding(**entry)
        lines.append(
            f"| {found.road} | {found.says} | {_value(found)} | {bound(found)} "
            f"| {'; '.join(filter(None, (VERDICTS[found.met], found.note * bool(found.values))))} |"
        )
    return "\n".join([*lines, ""])


def _value(found: Finding) -> str:
    if not found.values:
        return found.note
    low, high = spread(found.values)
    middle = f"{short(median(found.values))} {found.unit}".rstrip()
    return middle if len(found.values) == 1 else f"{middle} ({short(low)} to {short(high)})"


def _series(journal: Journal) -> str:
    lines = [
        "## What each program took",
        "",
        "| road | program | median | quartiles |",
        "|---|---|--:|--:|",
    ]
    for entry in _of(journal, "series"):
        if not entry["curve"]:
            low, high = spread(entry["values"])
            middle = f"{short(median(entry['values']))} {entry['unit']}"
            ends = f"{short(low)} to {short(high)}"
            lines.append(f"| {entry['road']} | {entry['program']} | {middle} | {ends} |")
    return "\n".join([*lines, ""])


def _curves(journal: Journal, pictures: Path) -> Iterator[str]:
    points = [entry for entry in _of(journal, "series") if entry["curve"]]
    yield "## How cost grows\n"
    for entry in _of(journal, "curve"):
        curve = Curve(**entry)
        lines: dict[str, list[tuple[float, float]]] = {}
        for point in points:
            if point["curve"] == curve.name:
                place = (point["x"], median(point["values"]))
                lines.setdefault(point["program"], []).append(place)
        if not lines:
            continue
        name = f"speed-{curve.name}.svg"
        (pictures / name).write_text(f"{drawn(curve, lines)}\n")
        slopes = "; ".join(
            f"{program} {_slope(line, linear=curve.linear)}" for program, line in lines.items()
        )
        yield f"### {curve.title}\n\n![{curve.title}](pictures/{name})\n"
        yield f"Measured: {slopes}.\n\nExpected: {curve.explains}\n"


def _slope(line: list[tuple[float, float]], *, linear: bool) -> str:
    """First and last point in words, with the exponent between them: 1 is in step, 0 is flat."""
    (x0, y0), (x1, y1) = min(line), max(line)
    if x0 == x1:
        return f"{short(y0)} at {plain(x0)}"
    ends = f"{short(y0)} at {plain(x0)} to {short(y1)} at {plain(x1)}"
    return ends if linear else f"{ends} (exponent {math.log(y1 / y0) / math.log(x1 / x0):.2f})"
