"""Workers: what a second process adds, cold and known."""

from benchmarks.speed.bench import OURS, Bench
from benchmarks.speed.images import form_request
from benchmarks.speed.load import Load
from benchmarks.speed.measuring import Curve, taking_turns

ROAD = "workers"

CLIENTS = 32

COLD, KNOWN = f"{OURS}, new images", f"{OURS}, a known image"

CURVE = Curve(
    ROAD,
    "workers",
    "Answers by the number of workers",
    "workers",
    "answers a second",
    "one worker's engine already uses every core, so a second one adds nothing to new images. "
    "Known images are the work of one interpreter, so each worker adds a core's worth until the "
    "cores are used up; the clients of this run need part of one.",
)


def measure(bench: Bench) -> None:
    """Measures one worker, then two."""
    bench.journal.add(CURVE)
    many, count = bench.pick(256, 48), bench.pick(2_000, 100)
    (jpeg,) = bench.images.jpegs(1)
    servers = {
        number: bench.product(bench.home(f"home-{number}", heads=1), workers=number)
        for number in (1, 2)
    }
    new = {
        n: Load(bench, server, _requests(bench.images.jpegs((bench.turns + 1) * many)))
        for n, server in servers.items()
    }
    known = {n: Load(bench, server, _requests([jpeg])) for n, server in servers.items()}
    for name, loads, size in ((COLD, new, many), (KNOWN, known, count)):
        programs = {str(n): load.throughput(CLIENTS, size) for n, load in loads.items()}
        for number, values in taking_turns(programs, bench.turns).items():
            bench.keep(ROAD, "answers/s", {name: values}, CURVE.name, int(number))


def _requests(jpegs: list[bytes]) -> list[bytes]:
    return [form_request("/v1/predict", jpeg) for jpeg in jpegs]
