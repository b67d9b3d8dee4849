"""How long it takes from asking for a head to its first answer, over a real server.

    python benchmarks/register.py [--data DIR] [--images 300] [--runs 3] [--backbone NAME] [--json]

A server is started on a home of its own, and images of two classes are made known to it: X-rays of
`kermany_cxr` in DIR where they are there, with their patients as groups, else made-up pictures.
Then heads are asked for, with the full and with the fast report, the first of a trainer that has
just started included; the clock stops when the new version has answered for an image. Beside the
seconds stand those of processor time that all processes of the server took meanwhile: on a machine
that does other things too, they are what can be compared.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import httpx

HERE = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(HERE / "tests" / "support"))

from live_server import Server, finished, free_port, picture  # noqa: E402  the path comes first

CLASSES = {"normal": "normal", "pneumonia_bacteria": "ill", "pneumonia_virus": "ill"}
PER_CALL = 50


def xrays(folder: Path, n: int) -> list[tuple[str, bytes, str, str]]:
    """(filename, bytes, label, patient), the same images every time, half of each class."""
    with (folder / "groups.csv").open() as table:
        group_of = {row["path"]: row["group"] for row in csv.DictReader(table)}
    found: list[tuple[str, bytes, str, str]] = []
    for label in ("normal", "ill"):
        names = [name for name, of in CLASSES.items() if of == label]
        paths = sorted(path for name in names for path in (folder / name).iterdir())
        random.Random(0).shuffle(paths)
        for path in paths[: n // 2]:
            place = path.relative_to(folder).as_posix()
            found.append((path.name, path.read_bytes(), label, group_of.get(place, place)))
    return found


def made_up(n: int) -> list[tuple[str, bytes, str, str]]:
    labels = ["red" if number % 2 else "green" for number in range(n)]
    return [
        (f"{number}.png", picture(label, number), label, f"group {number // 2}")
        for number, label in enumerate(labels)
    ]


def make_known(client: httpx.Client, images: list[tuple[str, bytes, str, str]]) -> str:
    """Sends every image; returns the digest of one."""
    for start in range(0, len(images), PER_CALL):
        some = images[start : start + PER_CALL]
        answer = client.post(
            "/v1/datasets/known/images",
            files=[("images", (name, data)) for name, data, _, _ in some],
            data={"labels": [i[2] for i in some], "groups": [i[3] for i in some]},
        )
        answer.raise_for_status()
    return str(answer.json()["images"][0]["digest"])


def processor_s(root: int) -> float:
    """Seconds of processor time that a process and its living descendants have taken."""
    parent_of: dict[int, int] = {}
    ticks: dict[int, int] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            fields = path.read_text().rpartition(")")[2].split()
            process = int(path.parent.name)
            parent_of[process], ticks[process] = int(fields[1]), int(fields[11]) + int(fields[12])
    family = {root}
    while found := {p for p, parent in parent_of.items() if parent in family} - family:
        family |= found
    return sum(ticks.get(process, 0) for process in family) / os.sysconf("SC_CLK_TCK")


def register(client: httpx.Client, root: int, digest: str, report: str) -> tuple[float, float]:
    """Seconds until the head answers, and seconds of processor time."""
    worked, begun = processor_s(root), time.monotonic()
    options = {"report": report, "allow_no_signal": True}
    asked = client.post("/v1/heads", json={"name": "quick", "dataset": "known", "options": options})
    asked.raise_for_status()
    job = finished(client, asked.headers["Location"])
    if job["state"] != "succeeded":
        raise SystemExit(f"the job {job['state']}: {job['error']}")
    version = job["result"]["version"]
    said = client.post("/v1/predict", json={"digests": [digest], "heads": [f"quick@{version}"]})
    said.raise_for_status()
    if not said.json()["results"][0]["predictions"][0]["probabilities"]:
        raise SystemExit("the new version did not answer")
    return time.monotonic() - begun, processor_s(root) - worked


def measure(client: httpx.Client, root: int, digest: str, runs: int) -> dict[str, list[float]]:
    """Tell what was measured, and return the seconds of each report."""
    seconds: dict[str, list[float]] = {}
    for title, report, times in (
        ("the first", "full", 1),
        ("full", "full", runs),
        ("fast", "fast", runs),
    ):
        found = sorted(register(client, root, digest, report) for _ in range(times))
        said = ", ".join(f"{took:.2f} ({worked:.2f})" for took, worked in found)
        middle = found[len(found) // 2]
        tell(f"{title}: median {middle[0]:.2f} s; seconds (of processor time): {said}")
        seconds[title] = [took for took, _ in found]
    return {"fast": seconds["fast"], "everything": seconds["full"]}


def tell(line: str) -> None:
    """Beside the figures, which another program may read."""
    print(line, file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=HERE.parent / "shared" / "data")
    parser.add_argument("--images", type=int, default=300)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--backbone", default="efficientnet_lite0")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="print the seconds as JSON besides")
    parser.add_argument("--quick", action="store_true", help="one run of each report")
    given = parser.parse_args()
    folder = given.data / "kermany_cxr"
    images = xrays(folder, given.images) if folder.is_dir() else made_up(given.images)
    with tempfile.TemporaryDirectory() as home:
        server = Server(Path(home) / "home", free_port(), given.backbone, given.workers)
        ready = server.start()
        tell(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; ready in {ready:.1f} s")
        try:
            with server.client() as client:
                begun = time.monotonic()
                digest = make_known(client, images)
                tell(f"{len(images)} images made known in {time.monotonic() - begun:.1f} s")
                root = server.process.pid if server.process else 0
                found = measure(client, root, digest, 1 if given.quick else given.runs)
                if given.json:
                    print(json.dumps(found))
        finally:
            server.stop()


if __name__ == "__main__":
    main()
