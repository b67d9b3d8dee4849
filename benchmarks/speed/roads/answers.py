"""Many heads over HTTP on one known image, and what each of them adds to answer and memory."""

import json
from functools import partial
from time import perf_counter
from typing import Any

import orjson

from benchmarks.speed.bench import MS, OURS, Bench
from benchmarks.speed.homes import digest_of
from benchmarks.speed.images import request
from benchmarks.speed.load import Load, body_of
from benchmarks.speed.measuring import Curve, Finding, median, taking_turns

ROAD = "many heads, over HTTP"

US = 1e6
WORKFLOW = f"{OURS}, without HTTP"

CURVE = Curve(
    ROAD,
    "answers",
    "One known image, by the number of heads asked",
    "heads",
    "ms an answer",
    "each head adds its trees, its linear base, its test of novelty, and its part of the answer: "
    "at first all but hidden behind the request itself, from some hundred heads on in step with "
    "their number. An answer of 10,000 heads would be megabytes of JSON; ask for fewer by name.",
)


def measure(bench: Bench) -> None:
    """Measures answers of one head to all, and memory."""
    most = bench.pick(1_000, 60)
    home = bench.home("home", heads=most, vectors=1)
    _memory(bench, str(home))
    _time(bench, str(home), most)
    load = {n: [_asking(n)] for n in bench.pick((1, 10, 100, most), (1, most))}
    server = bench.product(home)
    bench.journal.add(CURVE)
    times = bench.pick(40, 10)
    asked = {n: Load(bench, server, requests) for n, requests in load.items()}
    turns = taking_turns({str(n): a.latency(times) for n, a in asked.items()}, bench.turns)
    for heads in asked:
        bench.keep(ROAD, "ms", {OURS: turns[str(heads)]}, CURVE.name, heads)
    writing = _writing(body_of(server, _asking(most)))
    values = [
        (large - writing) / small for small, large in zip(turns["1"], turns[str(most)], strict=True)
    ]
    says = f"answer of {most:,} heads less the {writing:.2f} ms its JSON takes, times one head's"
    bench.journal.add(Finding(ROAD, says, values, target=3, at_least=False))


def _memory(bench: Bench, home: str) -> None:
    taken = bench.child("forests:Memory", home=home)()
    says = f"memory of a further head, times its packed nodes ({taken['packed'] / 1024:.0f} KiB)"
    value = [taken["resident"] / taken["packed"]]
    bench.journal.add(Finding(ROAD, says, value, target=1.1, at_least=False))


def _time(bench: Bench, home: str, most: int) -> None:
    program = bench.child("ours:Heads", home=home)
    few, times = most // 10, bench.pick(20, 5)

    def run(heads: int) -> float:
        return MS * median(program(heads=heads, times=times))

    turns = taking_turns({str(n): partial(run, n) for n in (few, most)}, bench.turns)
    bench.keep(f"{ROAD}, workflow", "ms", {f"{WORKFLOW}, {n} heads": v for n, v in turns.items()})
    values = [
        US / MS * (large - small) / (most - few)
        for small, large in zip(turns[str(few)], turns[str(most)], strict=True)
    ]
    says = "each further head: trees, linear base, calibration, prediction set and novelty"
    bench.journal.add(Finding(ROAD, says, values, unit="us", target=20, at_least=False))


def _asking(heads: int) -> bytes:
    body = {"digests": [digest_of(0)], "heads": [f"head-{n:05}" for n in range(heads)]}
    return request("/v1/predict", json.dumps(body).encode(), "application/json")


def _writing(answer: Any) -> float:  # noqa: ANN401  any JSON
    """Milliseconds that writing an answer as JSON takes."""
    seconds = []
    for _ in range(50):
        start = perf_counter()
        orjson.dumps(answer)
        seconds.append(perf_counter() - start)
    return MS * median(seconds)
