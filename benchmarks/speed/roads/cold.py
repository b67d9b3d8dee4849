"""Distinct images over HTTP, none of them known: many clients that saturate, and a lone one.

The clients' own work (a core is theirs for 0.1 ms a request) counts against every server alike.
"""

from benchmarks.speed.bench import BENTO, FASTAPI, FLOOR, MS, OURS, Bench, cores
from benchmarks.speed.child import Child
from benchmarks.speed.images import form_request
from benchmarks.speed.load import Load
from benchmarks.speed.measuring import Finding, Turns, median, ratio, taking_turns

ROAD = "cold predict"

CLIENTS = 32

LONE_FACTOR, LONE_MS = 1.3, 2.0
"""A lone request may take this many times its floor, and so much more."""


def measure(bench: Bench) -> None:
    """Measures both."""
    many, lone = bench.pick(512, 48), bench.pick(40, 8)
    rounds = bench.turns + 1
    jpegs = bench.images.jpegs(rounds * (many + lone))
    rivals = bench.images.jpegs(128)
    ours = Load(
        bench,
        bench.product(bench.home("home", heads=1)),
        [form_request("/v1/predict", jpeg) for jpeg in jpegs],
    )
    asked = [form_request("/predict", jpeg) for jpeg in rivals]
    bento = Load(bench, bench.rival("bentoml_service:bentoml"), asked)
    fastapi = Load(bench, bench.rival("fastapi_service"), asked)
    floor = floor_of(bench, rivals)
    few = max(CLIENTS, many // 4)  # the rivals need four times as long for each
    turns = taking_turns(
        {
            OURS: ours.throughput(CLIENTS, many),
            FLOOR: lambda: many / float(floor(images=many)["total"]),
            BENTO: bento.throughput(CLIENTS, few),
            FASTAPI: fastapi.throughput(CLIENTS, few),
        },
        bench.turns,
    )
    bench.keep(ROAD, "images/s", turns)
    _judge(bench, turns)
    turns = taking_turns(
        {
            OURS: ours.latency(lone),
            FLOOR: lambda: MS * median(floor(images=lone, lone=True)["seconds"]),
            BENTO: bento.latency(lone // 2),
            FASTAPI: fastapi.latency(lone // 2),
        },
        bench.turns,
    )
    bench.keep(f"{ROAD}, alone", "ms", turns)
    says = f"median time of a lone request, less {LONE_FACTOR} times its floor"
    beyond = [
        mine - LONE_FACTOR * least for mine, least in zip(turns[OURS], turns[FLOOR], strict=True)
    ]
    bench.journal.add(
        Finding(f"{ROAD}, alone", says, beyond, unit="ms", target=LONE_MS, at_least=False)
    )


def floor_of(bench: Bench, jpegs: list[bytes]) -> Child:
    """The floor as a program."""
    files = []
    for number, jpeg in enumerate(jpegs):
        path = bench.folder / f"floor-{number:05}.jpg"
        path.write_bytes(jpeg)
        files.append(str(path))
    return bench.child("ours:Floor", engines=bench.engines(), files=files, threads=cores())


def _judge(bench: Bench, turns: Turns) -> None:
    says = "throughput, times the floor of decode and forward"
    bench.journal.add(Finding(ROAD, says, ratio(turns[OURS], turns[FLOOR]), target=0.85))
    says = f"throughput, times {BENTO}'s"
    bench.journal.add(Finding(ROAD, says, ratio(turns[OURS], turns[BENTO]), target=5))
    says = f"throughput, times {FASTAPI}'s"
    bench.journal.add(Finding(ROAD, says, ratio(turns[OURS], turns[FASTAPI])))
