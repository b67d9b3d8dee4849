"""From registering a head to its first answer: measured by a script of its own, run from here."""

import json
import subprocess
import sys

from benchmarks.speed.bench import Bench
from benchmarks.speed.child import ROOT
from benchmarks.speed.measuring import Finding

ROAD = "register"

SCRIPT = ROOT / "benchmarks" / "register.py"

TARGETS = {"fast": 2.0, "everything": 10.0}
"""Seconds that each recipe may take: 300 known images, two classes."""


def measure(bench: Bench) -> None:
    """Runs the script; with `--json`, it prints {recipe: [seconds, …]}."""
    if not SCRIPT.exists():
        note = "not measured: benchmarks/register.py is not there"
        bench.journal.add(
            Finding(ROAD, "300 known images, two classes, until answering", [], note=note)
        )
        return
    command = [sys.executable, str(SCRIPT), "--json", *(["--quick"] if bench.quick else [])]
    done = subprocess.run(command, capture_output=True, check=True, cwd=ROOT)
    for recipe, seconds in json.loads(done.stdout).items():
        says = f"300 known images, two classes, until answering, {recipe}"
        target = TARGETS.get(recipe)
        bench.journal.add(Finding(ROAD, says, seconds, unit="s", target=target, at_least=False))
