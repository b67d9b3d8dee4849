"""A known image and one head, beside an empty endpoint that reads the same body."""

from benchmarks.speed.bench import EMPTY, OURS, Bench
from benchmarks.speed.images import form_request
from benchmarks.speed.load import Load
from benchmarks.speed.measuring import Curve, Finding, ratio, taking_turns

ROAD = "known image"

UVICORN = "empty endpoint, uvicorn alone"
CLIENTS = 16

CURVE = Curve(
    ROAD,
    "clients",
    "A known image, by the number of clients",
    "clients",
    "answers a second",
    "one process answers with one interpreter, so the line is flat from a few clients on: more of "
    "them wait longer, and none is served sooner. Beyond that only workers help, one for each "
    "core; all ask the same catalog once a request, and would meet there first.",
)


def measure(bench: Bench) -> None:
    """Measures latency, throughput, and throughput by clients."""
    (jpeg,) = bench.images.jpegs(1)
    asked = [form_request("/v1/predict", jpeg)]
    ours = Load(bench, bench.product(bench.home("home", heads=1)), asked)
    empty = Load(bench, bench.rival("empty:bentoml"), asked)
    uvicorn = Load(bench, bench.rival("empty"), asked)
    count = bench.pick(1_000, 60)
    servers = {OURS: ours, EMPTY: empty, UVICORN: uvicorn}
    alone = taking_turns({n: s.latency(count // 2) for n, s in servers.items()}, bench.turns)
    bench.keep(ROAD, "ms", alone)
    says = "median time of a lone request, less the empty endpoint's"
    beyond = [mine - least for mine, least in zip(alone[OURS], alone[EMPTY], strict=True)]
    bench.journal.add(Finding(ROAD, says, beyond, unit="ms", target=1.5, at_least=False))
    bench.journal.add(CURVE)
    for clients in bench.pick((1, 2, 4, 8, CLIENTS, 32, 64), (1, CLIENTS)):
        programs = {n: s.throughput(clients, count) for n, s in servers.items()}
        turns = taking_turns(programs, bench.turns)
        bench.keep(ROAD, "answers/s", turns, CURVE.name, clients)
        if clients == CLIENTS:
            says = f"throughput of {CLIENTS} clients, times the empty endpoint's"
            bench.journal.add(Finding(ROAD, says, ratio(turns[OURS], turns[EMPTY]), target=0.6))
