"""Pixels to vectors, in process: the engine beside torch eager at every batch size."""

from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.speed.bench import OURS, Bench
from benchmarks.speed.child import Child
from benchmarks.speed.measuring import Curve, Finding, Turns, median, ratio, taking_turns

ROAD = "embedding"

EAGER, LAST = "torch eager", "torch eager, channels_last"
PRODUCT = "as many operations, as large matrix products"

CURVE = Curve(
    ROAD,
    "batch",
    "Embedding, images in one call",
    "images in one call",
    "images a second",
    "the engine gives one image to each stream whatever the batch, so its line is flat once every "
    "core has an image; torch eager pays for each operator once a call, and then for the memory "
    "that large batches move. With more cores the engine's line rises by the core until memory "
    "bandwidth ends it, and the batch must have at least as many images as there are streams.",
)


def measure(bench: Bench) -> None:
    """Measures it."""
    programs = {
        OURS: bench.child("ours:Embedding", engines=bench.engines()),
        EAGER: bench.child("rivals.eager:Eager", channels_last=False),
        LAST: bench.child("rivals.eager:Eager", channels_last=True),
    }
    images = bench.pick(64, 8)
    by_batch: dict[int, Turns] = {}
    bench.journal.add(CURVE)
    for batch in bench.pick((1, 2, 4, 8, 16, 32, 64), (1, 8)):
        by_batch[batch] = turns = taking_turns(
            {name: partial(_rate, child, batch, images) for name, child in programs.items()},
            bench.turns,
        )
        bench.keep(ROAD, "images/s", turns, CURVE.name, batch)
    product = bench.child("rivals.peak:Product")
    peak = taking_turns(
        {PRODUCT: product.seconds, OURS: partial(_rate, programs[OURS], 8, images)}, bench.turns
    )
    bench.keep(ROAD, "images/s", peak)
    says = "throughput, times what its operations would have as large matrix products"
    bench.journal.add(Finding(ROAD, says, ratio(peak[OURS], peak[PRODUCT])))
    _judge(bench, by_batch)


def _rate(program: Child, batch: int, images: int) -> float:
    return 1 / program.seconds(batch=batch, images=images)


def _judge(bench: Bench, by_batch: dict[int, Turns]) -> None:
    alone = by_batch[1]
    says = "throughput at batch 1, times torch eager's"
    bench.journal.add(Finding(ROAD, says, ratio(alone[OURS], alone[EAGER]), target=7))
    best = max((turns[name] for turns in by_batch.values() for name in (EAGER, LAST)), key=median)
    mine = max((turns[OURS] for turns in by_batch.values()), key=median)
    says = "best throughput, times the best of torch eager at any batch and layout"
    bench.journal.add(Finding(ROAD, says, ratio(mine, best), target=3.5))
    says = "largest relative difference of a vector from torch eager's"
    values = [_difference(bench)]
    bench.journal.add(Finding(ROAD, says, values, unit="", target=1e-5, at_least=False))
    for space in ("bf16", "int8"):
        says = f"{space} as a space of its own"
        bench.journal.add(Finding(ROAD, says, [], note="docs/explanation/precision.md"))


def _difference(bench: Bench) -> float:
    pixels: Path = bench.folder / "pixels.npy"
    some = np.random.default_rng(1).integers(0, 256, (4, 224, 224, 3), np.uint8)
    np.save(pixels, some)
    told = {"pixels": str(pixels)}
    found = np.array(bench.child("ours:Vectors", engines=bench.engines())(**told))
    wanted = np.array(bench.child("rivals.eager:Vectors")(**told))
    lengths = np.linalg.norm(wanted, axis=1)
    return float((np.linalg.norm(found - wanted, axis=1) / lengths).max())
