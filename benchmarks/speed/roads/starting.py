"""Starting with many heads and vectors: until ready, until all have answered, and what it holds."""

import json
from time import perf_counter

from benchmarks.speed.bench import OURS, Bench
from benchmarks.speed.homes import digest_of
from benchmarks.speed.images import request
from benchmarks.speed.load import body_of
from benchmarks.speed.measuring import Finding, Turns
from benchmarks.speed.servers import product

ROAD = "start"


def measure(bench: Bench) -> None:
    """Starts the same home several times."""
    heads, vectors = bench.pick((1_000, 100_000), (30, 2_000))
    home = bench.home("home", heads=heads, vectors=vectors)
    every = request(
        "/v1/predict", json.dumps({"digests": [digest_of(0)]}).encode(), "application/json"
    )
    turns: Turns = {"until ready": [], "until every head has answered": []}
    idle, later, torch = list[float](), list[float](), False
    for _ in range(bench.pick(5, 2)):
        with product(home) as server:
            idle.append(server.resident_mib())
            start = perf_counter()
            body_of(server, every)
            answered = perf_counter() - start
            turns["until ready"].append(server.ready_after_s)
            turns["until every head has answered"].append(server.ready_after_s + answered)
            later.append(server.resident_mib())
            torch = torch or server.has_loaded("libtorch")
    bench.keep(ROAD, "s", {f"{OURS}, {what}": values for what, values in turns.items()})
    size = f"{heads:,} heads and {vectors:,} vectors"
    for what, target in (("until ready", 4.0), ("until every head has answered", None)):
        says = f"{size}: {what}"
        bench.journal.add(Finding(ROAD, says, turns[what], unit="s", target=target, at_least=False))
    says = "resident when ready, all processes"
    bench.journal.add(Finding(ROAD, says, idle, unit="MiB", target=700, at_least=False))
    says = "resident once every head has answered"
    bench.journal.add(Finding(ROAD, says, later, unit="MiB", target=700, at_least=False))
    says = "torch imported (1: yes)"
    bench.journal.add(Finding(ROAD, says, [float(torch)], unit="", target=0, at_least=False))
