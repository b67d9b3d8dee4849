"""Many heads on one image, in process: the kernel beside a loop over boosters."""

from collections.abc import Callable
from functools import partial

from benchmarks.speed.bench import MS, OURS, Bench
from benchmarks.speed.child import Child
from benchmarks.speed.measuring import Curve, Finding, median, ratio, taking_turns

ROAD = "many heads, in process"

LOOP = "a loop of Booster.predict"
LONGEST_LOOP = 1_000

US = 1e6

CURVE = Curve(
    ROAD,
    "heads",
    "Heads of 100 trees on one image, one core",
    "heads",
    "ms",
    "every head adds its trees, so the lines rise in step with the heads. The loop pays a call for "
    "each head before its first tree. The packed trees of 1,000 heads take 11 MB, read from front "
    "to back: where they no longer fit into the processor's cache, the line bends upwards a "
    "little. One image is the work of one core; images side by side use the others.",
)


def measure(bench: Bench) -> None:
    """Measures kernel, loop and equality, for growing numbers of heads."""
    most = bench.pick(1_000, 100)
    sizes = bench.pick((1, 10, 100, most, 10_000), (1, 10, most))
    program = bench.child("forests:Kernel", engines=bench.engines(), heads=max(sizes))
    bench.journal.add(CURVE)
    by_heads = {}
    for heads in sizes:
        by_heads[heads] = turns = taking_turns(_programs(program, heads, bench), bench.turns)
        bench.keep(ROAD, "ms", turns, CURVE.name, heads)
    turns = by_heads[most]
    note = "" if most == LONGEST_LOOP else f"{most} heads in a quick run"
    says = f"kernel, {most:,} heads of 100 trees"
    bench.journal.add(
        Finding(ROAD, says, turns[OURS], unit="ms", target=2.5, at_least=False, note=note)
    )
    says = f"kernel, times faster than {LOOP}"
    bench.journal.add(Finding(ROAD, says, ratio(turns[LOOP], turns[OURS]), target=15))
    same = program(what="identical", heads=min(most, 200), times=bench.pick(16, 4))
    says = "raw scores bit-identical to LightGBM's (1: all of them)"
    bench.journal.add(Finding(ROAD, says, [float(same)], unit="", target=1))
    values = [
        US / MS * (large - small) / (most - 1)
        for small, large in zip(by_heads[1][OURS], turns[OURS], strict=True)
    ]
    says = "each further head, its trees alone"
    bench.journal.add(Finding(ROAD, says, values, unit="us", target=3, at_least=False))


def _programs(program: Child, heads: int, bench: Bench) -> dict[str, Callable[[], float]]:
    def run(what: str) -> float:
        times = max(5, bench.pick(20_000, 2_000) // (heads + 100))
        return MS * median(program(what=what, heads=heads, times=times))

    said = {OURS: "raw"} | ({LOOP: "loop"} if heads <= LONGEST_LOOP else {})
    return {name: partial(run, what) for name, what in said.items()}
